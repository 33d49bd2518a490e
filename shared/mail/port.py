"""The mail port."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Mail:
    """One message of plain text to one person."""

    recipient: str
    subject: str
    body: str


class MailSender(Protocol):
    """Hands mail over. Raises ``UnavailableError`` when that did not work."""

    async def send(self, mail: Mail) -> None: ...
