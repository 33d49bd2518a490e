"""Codes of one purpose, and the measure of those that a mailbox gets. The caller has the transaction, and the rows."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from services.billing.mailboxes import repository, rules
from shared.database import Database, Session
from shared.errors import TooManyRequestsError


class MailboxBusyError(TooManyRequestsError):
    """So many codes were sent to this mailbox, or asked for by this reader, that the next one has to wait ``seconds``."""

    def __init__(self, seconds: int) -> None:
        super().__init__(
            f"Too many codes for this address: wait {seconds} seconds",
            slug="mailbox-busy",
            headers={"Retry-After": str(seconds)},
        )
        self.seconds = seconds


class TextsSpentError(MailboxBusyError):
    """So many texts were sent for this agency that the next one has to wait ``seconds``; mail goes on."""


class Kept(Protocol):
    """A row that keeps a code that was sent."""

    id: UUID
    code_hash: bytes


class Counted(Kept, Protocol):
    """One that counts the wrong codes that were typed for it."""

    tries: int


K = TypeVar("K", bound=Kept)
C = TypeVar("C", bound=Counted)


class Codes:
    """The codes of one ``purpose``: one of another purpose does not fit."""

    def __init__(self, secret: str, purpose: str) -> None:
        self._secret = secret
        self._purpose = purpose

    def new(self, id_: UUID, digits: int = rules.DIGITS) -> tuple[str, bytes]:
        """A code for the row ``id_``: as it is sent, and as it is kept."""
        code = f"{secrets.randbelow(10**digits):0{digits}d}"
        return code, self._hash(id_, code)

    def find(self, rows: Sequence[K], typed: str) -> K | None:
        """The row whose code this is. Compared with every row, in the same time whichever it is."""
        code, found = rules.clean_code(typed), None
        for row in rows:
            if secrets.compare_digest(row.code_hash, self._hash(row.id, code)) and code:
                found = row
        return found

    def enter(self, rows: Sequence[C], typed: str) -> C | None:
        """The row whose code this is, of those (locked, in time) that were not guessed at too often; else each of them counts it."""
        open_rows = [row for row in rows if row.tries < rules.CODE_TRIES]
        found = self.find(open_rows, typed)
        if found is None:
            for row in open_rows:
                row.tries += 1
        return found

    def _hash(self, id_: UUID, code: str) -> bytes:
        return rules.hash_code(self._secret, self._purpose, str(id_), code)


async def count(
    session: Session, agency: str, address: str, asker: str, now: datetime, *, known: bool = False
) -> None:
    """One more code to this mailbox, asked for by a network, a browser or a reader.

    ``known``: the asker was signed in by this mailbox before, and strangers' codes do not count against them. Raises
    :class:`MailboxBusyError`; the transaction then counts nothing.
    """
    mailbox = f"{agency}:{rules.mailbox_of(address)}"
    buckets = [(pace, f"{mailbox}:{asker}") for pace in rules.MAILBOX]
    if not known:
        buckets += [(pace, mailbox) for pace in rules.MAILBOX_ALL]
    await _take(session, buckets, now)


async def count_for_reader(
    session: Session, agency: str, address: str, reader_id: UUID, now: datetime
) -> None:
    """One more code that a signed-in reader has sent to whatever mailbox they name; see :func:`count`."""
    await _take(session, [(rules.READER, str(reader_id))], now)
    await count(session, agency, address, f"reader-{reader_id}", now)


async def count_for_own(
    session: Session, agency: str, address: str, reader_id: UUID, now: datetime
) -> None:
    """:func:`count_for_reader` of the mailbox of the reader's own account: what strangers had sent there hinders no reader."""
    await _take(session, [(rules.READER, str(reader_id))], now)
    await count(session, agency, address, f"reader-{reader_id}", now, known=True)


async def count_text(
    session: Session,
    agency: str,
    number: str,
    asker: str,
    now: datetime,
    *,
    a_day: int,
    known: bool = False,
) -> None:
    """One more text to this number; see :func:`count`. ``a_day``: so many are an agency's strangers', as many its readers'.

    Raises :class:`MailboxBusyError`, and :class:`TextsSpentError` when the agency's measure is used up.
    """
    to = f"{agency}:{number}"
    buckets = [(pace, f"{to}:{asker}") for pace in rules.NUMBER]
    if not known:
        buckets += [(pace, to) for pace in rules.NUMBER_ALL]
    await _take(session, buckets, now)
    of_agency = f"{agency}:{'readers' if known else 'strangers'}"
    wait = await repository.take(session, rules.texts(a_day), of_agency, now)
    if wait is not None:
        raise TextsSpentError(rules.whole_seconds(wait))


async def count_text_for_reader(
    session: Session, agency: str, number: str, reader_id: UUID, now: datetime, *, a_day: int
) -> None:
    """One more text that a signed-in reader has sent to whatever number they name; see :func:`count_text`."""
    await _take(session, [(rules.NUMBER_READER, str(reader_id))], now)
    asker = f"reader-{reader_id}"
    buckets = [(pace, f"{agency}:{number}") for pace in rules.NUMBER_ALL]
    await _take(session, buckets, now)
    await count_text(session, agency, number, asker, now, a_day=a_day, known=True)


async def _take(session: Session, buckets: list[tuple[rules.Pace, str]], now: datetime) -> None:
    waits = [await repository.take(session, pace, key, now) for pace, key in buckets]
    longest = max((wait for wait in waits if wait is not None), default=None)
    if longest is not None:
        raise MailboxBusyError(rules.whole_seconds(longest))


@asynccontextmanager
async def forgotten_unless_sent(
    database: Database, forget: Callable[[Session, UUID], Awaitable[None]], id_: UUID
) -> AsyncIterator[None]:
    """Around the sending of a code that is kept already: one that could not be sent is forgotten, and what went wrong goes on."""
    try:
        yield
    except BaseException:  # also a request that is given up: nobody has the code
        async with database.transaction() as session:
            await forget(session, id_)
        raise
