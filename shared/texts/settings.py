"""Settings of every process that sends text messages."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from shared.settings import ServiceSettings
from shared.startup.rules import PRODUCTION, SERVING, Check

TEXT_CHECKS = (
    Check(
        "TEXT_TRANSPORT",
        lambda s: s.text_transport == "outbox",
        "none: the page with the texts shows every reader's sign-in code to anybody",
        where=PRODUCTION,
        duties=SERVING,
    ),
)


class TextSettings(ServiceSettings):
    """How text messages leave."""

    CHECKS: ClassVar[tuple[Check, ...]] = TEXT_CHECKS

    text_transport: Literal["none", "outbox"] = Field(
        default="none",
        description="none: no page offers a mobile number. outbox shows texts on /dev/mail (refused in production).",
    )
    texts_per_day: int = Field(
        default=300,
        ge=1,
        le=100_000,
        description="Codes by text that an agency's strangers get in a day, and once more as many its known browsers.",
    )

    @property
    def shows_texts(self) -> bool:
        """Whether texts are shown on ``/dev/mail`` instead of leaving; never in production."""
        return self.text_transport == "outbox" and self.environment != "production"
