"""Mail through an SMTP server (RFC 5321, 3207), by aiosmtplib."""

from __future__ import annotations

from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from typing import Literal

import aiosmtplib
import structlog

from shared.errors import UnavailableError
from shared.mail.port import Mail, MailRefusedError

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 10.0
#: What is wrong with one message. (A sender that is refused is refused with every message.)
_THIS_ONE = (
    ValueError,
    aiosmtplib.SMTPRecipientsRefused,
    aiosmtplib.SMTPRecipientRefused,
    aiosmtplib.SMTPDataError,
)


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
        self._name, self._address = parseaddr(sender)
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
            kind = MailRefusedError if isinstance(error, _THIS_ONE) else UnavailableError
            raise kind(
                "Mail cannot be sent right now",
                slug="mail-unavailable",
                headers={"Retry-After": "30"},
            ) from error

    def _message(self, mail: Mail) -> EmailMessage:
        """Raises ``ValueError`` for a line end in what becomes a header."""
        message = EmailMessage()
        message["From"] = Address(mail.sender_name or self._name, addr_spec=self._address)
        message["To"] = mail.recipient
        message["Subject"] = mail.subject
        host = self._address.rpartition("@")[2]
        known = f"<{mail.message_id}@{host}>" if mail.message_id else ""
        message["Date"], message["Message-ID"] = formatdate(), known or make_msgid(domain=host)
        # No person wrote it, and none waits for an answer (RFC 3834, section 5).
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.body)
        if mail.html:
            message.add_alternative(mail.html, subtype="html")
        return message
