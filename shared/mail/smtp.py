"""Mail through an SMTP server (RFC 5321, 3207), by aiosmtplib."""

from __future__ import annotations

from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
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
                sender=self._address,
                recipients=[mail.recipient],
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

    def _message(self, mail: Mail) -> bytes:
        """The message as it goes over the wire (RFC 5322). Raises ``ValueError`` for a line end in a header."""
        host = self._address.rpartition("@")[2]
        known = f"<{mail.message_id}@{host}>" if mail.message_id else ""
        name = mail.sender_name or self._name
        fields = {
            "From": f"{_words('From', name)}\r\n <{self._address}>" if name else self._address,
            "To": mail.recipient,
            "Subject": _words("Subject", mail.subject),
            "Date": formatdate(),
            "Message-ID": known or make_msgid(domain=host),
            # No person wrote it, and none waits for an answer (RFC 3834, section 5).
            "Auto-Submitted": "auto-generated",
        }
        if any(_breaks(text) for text in (name, mail.subject, mail.recipient, mail.message_id)):
            raise ValueError("a line end in a header")
        head = "".join(f"{field}: {value}\r\n" for field, value in fields.items())
        message = EmailMessage(policy=SMTP)
        message.set_content(mail.body)
        if mail.html:
            message.add_alternative(mail.html, subtype="html")
        return head.encode("ascii") + message.as_bytes()


def _words(field: str, text: str) -> str:
    """A text as encoded words (RFC 2047).

    By ``Header``: what ``EmailMessage`` makes of a long text loses the blank where the line is folded (seen with 3.11).
    """
    return Header(text, "utf-8", header_name=field).encode(linesep="\r\n")


def _breaks(text: str) -> bool:
    return "\r" in text or "\n" in text
