"""Mail through an SMTP server (RFC 5321, 3207), by aiosmtplib."""

from __future__ import annotations

from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Literal

import aiosmtplib
import structlog

from shared.errors import UnavailableError
from shared.mail.port import Mail

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 10.0


class SmtpMail:
    """One connection a message: messages are few, and a kept connection dies unseen."""

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
        try:
            await aiosmtplib.send(
                self._message(mail),
                hostname=self._host,
                port=self._port,
                username=self._username or None,
                password=self._password or None,
                use_tls=self._tls == "tls",
                start_tls=self._tls == "starttls",
                timeout=TIMEOUT_SECONDS,
            )
        except (OSError, ValueError, aiosmtplib.SMTPException) as error:
            # Its text may hold the address: the type is enough to look for.
            log.warning("mail_not_sent", error=type(error).__name__)
            raise UnavailableError(
                "Mail cannot be sent right now",
                slug="mail-unavailable",
                headers={"Retry-After": "30"},
            ) from error

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage()
        message["From"], message["To"] = self._sender, mail.recipient
        message["Subject"] = mail.subject
        message["Date"], message["Message-ID"] = formatdate(), make_msgid()
        message.set_content(mail.body)
        return message
