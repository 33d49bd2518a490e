"""The local form of mail and of texts: a table that a newcomer can look into (environments local and test only)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, Column, MetaData, Table, Text, Uuid, false, text

from shared.clock import Clock
from shared.database import Database, UTCDateTime
from shared.ids import new_id
from shared.mail.port import Mail

#: For the first migration of a service that sends mail.
SCHEMA_V1 = """
CREATE TABLE mail_message (
    id uuid NOT NULL CONSTRAINT pk_mail_message PRIMARY KEY,
    recipient text NOT NULL,
    subject text NOT NULL,
    body text NOT NULL,
    html text NOT NULL DEFAULT '',
    sender_name text NOT NULL DEFAULT '',
    is_text boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL
);
CREATE INDEX ix_mail_message_created_at ON mail_message (created_at);
"""
KEPT = 200


def define_table(metadata: MetaData) -> Table:
    """The outbox among a service's tables."""
    return Table(
        "mail_message",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("recipient", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("body", Text, nullable=False),
        Column("html", Text, nullable=False, server_default=""),
        Column("sender_name", Text, nullable=False, server_default=""),
        Column("is_text", Boolean, nullable=False, server_default=false()),
        Column("created_at", UTCDateTime, nullable=False, index=True),
    )


@dataclass(frozen=True, slots=True)
class KeptMail:
    """A message as the outbox page shows it."""

    recipient: str
    subject: str
    body: str
    created_at: datetime
    id: UUID
    sender_name: str
    has_html: bool
    is_text: bool = False  # to a number, without a subject


class OutboxMail:
    """Keeps the newest messages in the service's own database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def send(self, mail: Mail) -> None:
        await keep(self._database, self._clock, mail)


async def keep(database: Database, clock: Clock, mail: Mail, *, is_text: bool = False) -> None:
    """One more message; the oldest beyond :data:`KEPT` go."""
    async with database.transaction() as session:
        await session.execute(
            text(
                """INSERT INTO mail_message (id, recipient, subject, body, html, sender_name, created_at, is_text)
                   VALUES (:id, :recipient, :subject, :body, :html, :sender, :now, :is_text)"""
            ),
            {
                "id": new_id(),
                "recipient": mail.recipient,
                "subject": mail.subject,
                "body": mail.body,
                "html": mail.html,
                "sender": mail.sender_name,
                "now": clock.now(),
                "is_text": is_text,
            },
        )
        await session.execute(
            text(
                """DELETE FROM mail_message WHERE id IN (
                     SELECT id FROM mail_message ORDER BY created_at DESC, id DESC OFFSET :keep)"""
            ),
            {"keep": KEPT},
        )


async def recent_mail(database: Database, limit: int = 50) -> Sequence[KeptMail]:
    """The newest messages first."""
    async with database.read() as session:
        rows = await session.execute(
            text(
                """SELECT recipient, subject, body, created_at, id, sender_name, html <> '', is_text FROM mail_message
                   ORDER BY created_at DESC, id DESC LIMIT :limit"""
            ),
            {"limit": limit},
        )
        return [KeptMail(*row) for row in rows]


async def html_of(database: Database, id_: UUID) -> str:
    """A message's HTML; empty where it has none, or is not kept any more."""
    async with database.read() as session:
        found = await session.scalar(
            text("SELECT html FROM mail_message WHERE id = :id"), {"id": id_}
        )
    return found or ""
