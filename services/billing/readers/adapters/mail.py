"""The mail port, and its local form: an outbox that a newcomer can look into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import text

from shared.clock import Clock
from shared.database import Database
from shared.ids import new_id


@dataclass(frozen=True, slots=True)
class Mail:
    recipient: str
    subject: str
    body: str


class MailSender(Protocol):
    """Hands mail over. Raises ``UnavailableError`` when that did not work."""

    async def send(self, mail: Mail) -> None: ...


class OutboxMail:
    """Keeps mail in a table; ``/dev/mail`` shows it (environments local and test only)."""

    KEEP = 200

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def send(self, mail: Mail) -> None:
        async with self._database.transaction() as session:
            await session.execute(
                text(
                    """INSERT INTO mail_message (id, recipient, subject, body, created_at)
                       VALUES (:id, :recipient, :subject, :body, :now)"""
                ),
                {
                    "id": new_id(),
                    "recipient": mail.recipient,
                    "subject": mail.subject,
                    "body": mail.body,
                    "now": self._clock.now(),
                },
            )
            await session.execute(
                text(
                    """DELETE FROM mail_message WHERE id IN (
                         SELECT id FROM mail_message ORDER BY created_at DESC, id DESC OFFSET :keep)"""
                ),
                {"keep": self.KEEP},
            )
