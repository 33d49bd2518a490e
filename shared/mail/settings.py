"""Settings of every process that sends mail."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from shared.settings import ServiceSettings
from shared.startup.rules import PRODUCTION, SERVING, Check, host_of, is_loopback

MAIL_CHECKS = (
    Check(
        "MAIL_TRANSPORT",
        lambda s: s.mail_transport != "smtp",
        "smtp: the page with the mails shows every reader's sign-in code to anybody",
        where=PRODUCTION,
        duties=SERVING,
    ),
    Check(
        "SMTP_HOST",
        lambda s: s.mail_transport == "smtp" and not s.smtp_host,
        "needed: codes, invitations and receipts go by mail",
        duties=SERVING,
    ),
    Check(
        "SMTP_TLS",
        lambda s: s.mail_transport == "smtp" and s.smtp_tls == "none",
        "starttls or tls: a code in the clear is anybody's",
    ),
    Check(
        "SMTP_PASSWORD",
        lambda s: bool(s.smtp_username) != bool(s.smtp_password),
        "together with SMTP_USERNAME, or neither",
    ),
    Check(
        "MAIL_FROM",
        lambda s: is_loopback(host_of("smtp://" + s.mail_from.rpartition("@")[2].strip("> "))),
        "Tên báo <address at your own domain>",
        where=PRODUCTION,
        duties=SERVING,
    ),
)


class MailSettings(ServiceSettings):
    """How mail leaves."""

    CHECKS: ClassVar[tuple[Check, ...]] = MAIL_CHECKS

    mail_transport: Literal["outbox", "smtp"] = Field(
        default="outbox", description="outbox shows mail on /dev/mail (refused in production)."
    )
    mail_from: str = Field(default="Báo <no-reply@localhost>", description="Sender of mail.")
    smtp_host: str = Field(default="", description="SMTP server.")
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Port of the SMTP server.")
    smtp_username: str = Field(default="", description="SMTP user; empty sends without sign-in.")
    smtp_password: str = Field(default="", description="SMTP password.")
    smtp_tls: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="How the SMTP connection is protected."
    )

    @property
    def shows_mail(self) -> bool:
        """Whether mail is shown on ``/dev/mail`` instead of leaving; never in production."""
        return self.mail_transport == "outbox" and self.environment != "production"

    def secrets(self) -> tuple[str, ...]:
        return (*super().secrets(), self.smtp_password)
