"""The mail port."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from shared.errors import UnavailableError


@dataclass(frozen=True, slots=True)
class Mail:
    """One message to one person: plain text, and the same as HTML where there is any (multipart/alternative).

    ``sender_name`` is shown beside the sender's address in place of the name in MAIL_FROM. ``message_id`` is the part of
    the Message-ID (RFC 5322, 3.6.4) before the ``@``: the same message sent again has the same one. Empty: a new one.
    """

    recipient: str
    subject: str
    body: str
    html: str = ""
    sender_name: str = ""
    message_id: str = ""


class MailRefusedError(UnavailableError):
    """This message was refused (its recipient, or what it says); others may go. Its text holds no address."""


class MailSender(Protocol):
    """Hands mail over. Raises :class:`MailRefusedError` for this one, ``UnavailableError`` when none can be sent."""

    async def send(self, mail: Mail) -> None: ...
