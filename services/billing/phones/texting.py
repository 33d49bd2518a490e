"""Texts with codes: whether an agency has a channel, how many it sends, and what becomes of them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import structlog

from services.billing.mailboxes import service as mailboxes
from services.billing.mailboxes.service import TextsSpentError
from services.billing.metrics import TEXTS
from shared.database import Session
from shared.errors import FieldError, InvalidInputError, UnavailableError
from shared.texts import Text, TextSender
from shared.texts.number import NoMobile, parse_mobile

log = structlog.get_logger(__name__)
EXAMPLE = "0912 345 678"


class NoMobileError(InvalidInputError):
    """What was typed is no mobile number of Vietnam, and ``why``."""

    def __init__(self, why: NoMobile) -> None:
        super().__init__(errors=(FieldError("number", f"no mobile number: {why}", EXAMPLE),))
        self.why = why


def number_from(typed: str) -> str:
    """The number as E.164 has it. Raises :class:`NoMobileError`."""
    found = parse_mobile(typed)
    if isinstance(found, NoMobile):
        raise NoMobileError(found)
    return found


class Texting:
    """The agencies' channels, with their measure: at most ``a_day`` texts for strangers, and as many for readers."""

    def __init__(self, sender: TextSender, *, a_day: int) -> None:
        self._sender = sender
        self._a_day = a_day

    def serves(self, agency: str) -> bool:
        """Whether an agency's readers can be sent texts."""
        return self._sender.serves(agency)

    async def count(
        self, session: Session, agency: str, number: str, asker: str, now: datetime, *, known: bool
    ) -> None:
        """See ``mailboxes.count_text``."""
        try:
            await mailboxes.count_text(
                session, agency, number, asker, now, a_day=self._a_day, known=known
            )
        except TextsSpentError:
            _limited(agency)
            raise

    async def count_for_reader(
        self, session: Session, agency: str, number: str, reader_id: UUID, now: datetime
    ) -> None:
        """See ``mailboxes.count_text_for_reader``."""
        try:
            await mailboxes.count_text_for_reader(
                session, agency, number, reader_id, now, a_day=self._a_day
            )
        except TextsSpentError:
            _limited(agency)
            raise

    async def send(self, agency: str, text: Text) -> None:
        """Raises ``UnavailableError``."""
        try:
            await self._sender.send(agency, text)
        except UnavailableError:
            TEXTS.labels(agency, "failed").inc()
            raise
        TEXTS.labels(agency, "sent").inc()


def _limited(agency: str) -> None:
    TEXTS.labels(agency, "limited").inc()
    log.warning("text_measure_reached", agency=agency)
