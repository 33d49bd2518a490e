"""How mail leaves: the port (:class:`MailSender`), SMTP, and the outbox page of a trial machine."""

from __future__ import annotations

from shared.clock import Clock
from shared.database import Database
from shared.mail.outbox import OutboxMail
from shared.mail.port import Mail, MailRefusedError, MailSender
from shared.mail.settings import MailSettings
from shared.mail.smtp import SmtpMail

__all__ = [
    "Mail",
    "MailRefusedError",
    "MailSender",
    "MailSettings",
    "OutboxMail",
    "SmtpMail",
    "mail_sender",
]


def mail_sender(settings: MailSettings, database: Database, clock: Clock) -> MailSender:
    """SMTP, or the local outbox in the service's own database."""
    if settings.mail_transport == "outbox":
        return OutboxMail(database, clock)
    return SmtpMail(
        settings.smtp_host,
        settings.smtp_port,
        sender=settings.mail_from,
        username=settings.smtp_username,
        password=settings.smtp_password,
        tls=settings.smtp_tls,
    )
