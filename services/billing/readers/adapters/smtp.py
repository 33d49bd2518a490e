"""Mail through an SMTP server, off the event loop."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from typing import Literal

import structlog

from services.billing.readers.adapters.mail import Mail
from shared.errors import UnavailableError

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 10.0


class SmtpMail:
    """One connection a message: codes are few, and a kept connection dies unseen."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        sender: str,
        username: str = "",
        password: str = "",
        tls: Literal["starttls", "tls", "none"] = "starttls",
    ) -> None:
        self._host, self._port, self._tls = host, port, tls
        self._sender = sender
        self._username, self._password = username, password

    async def send(self, mail: Mail) -> None:
        message = EmailMessage()
        message["From"], message["To"] = self._sender, mail.recipient
        message["Subject"] = mail.subject
        message.set_content(mail.body)
        try:
            await asyncio.to_thread(self._deliver, message)
        except (OSError, smtplib.SMTPException) as error:
            log.warning("mail_not_sent", error=type(error).__name__)
            raise UnavailableError(
                "Mail cannot be sent right now",
                slug="mail-unavailable",
                headers={"Retry-After": "30"},
            ) from error

    def _deliver(self, message: EmailMessage) -> None:
        context = ssl.create_default_context()
        server: smtplib.SMTP
        if self._tls == "tls":
            server = smtplib.SMTP_SSL(
                self._host, self._port, timeout=TIMEOUT_SECONDS, context=context
            )
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=TIMEOUT_SECONDS)
        with server:
            if self._tls == "starttls":
                server.starttls(context=context)
            if self._username:
                server.login(self._username, self._password)
            server.send_message(message)
