"""Statements: what is read and shown first is taken in by a second press, without the file.

Meaning: a statement is taken in whole or not at all, and once, however often it is confirmed. What makes it true: its
credits are kept beside it until then, the row is locked while they go into the inbox, and the inbox knows each row of a
statement by its account and id. The worker applies them like a bank's notices, so that a credit told by both is one.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import msgspec

from services.billing.statements import repository
from services.billing.statements.models import StatementUpload
from services.billing.transfers import repository as transfers_repository
from services.billing.transfers.facts import CreditNotice
from services.billing.transfers.notified import STATEMENT, written
from services.billing.transfers.statement import RowProblem, read_statement
from services.billing.transfers.values import kept
from services.billing.webhooks.repository import Incoming
from shared import audit
from shared.clock import Clock
from shared.database import Database
from shared.errors import NotFoundError
from shared.ids import new_id

TYPE = "statement.credit"
#: How long a statement that nobody confirmed is kept.
UNTAKEN_FOR = timedelta(days=1)
MAX_NAME = 200
EXPECTED_CREDITS = "a statement with at least one credit"

_NOTICES = msgspec.json.Decoder(list[CreditNotice])


class StatementProblemsError(Exception):
    """Nothing of the statement is taken."""

    def __init__(self, problems: Sequence[RowProblem]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = problems


@dataclass(frozen=True, slots=True)
class UploadView:
    """A statement; ``known`` of its credits were heard of before. Once it is taken, ``waiting`` and ``parked`` are rows of
    the agency's statements that are still to be applied, and that were given up."""

    upload: StatementUpload
    known: int
    waiting: int
    parked: int


class Statements:
    """Use cases of finance."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def read(
        self, agency: str, account: str, file_name: str, raw: bytes, by: str
    ) -> StatementUpload:
        """Read a file and keep what it says until it is confirmed.

        Raises :class:`StatementProblemsError`, and :class:`NotFoundError` for an account that is not the agency's.
        """
        async with self._database.read() as session:
            accounts = await transfers_repository.accounts(session, agency)
        if account not in [one.number for one in accounts]:
            raise NotFoundError
        statement = await asyncio.to_thread(read_statement, raw, account=account)
        if statement.problems:
            raise StatementProblemsError(statement.problems)
        if not statement.credits:
            raise StatementProblemsError([RowProblem(0, "", "", EXPECTED_CREDITS)])
        times = [one.occurred_at for one in statement.credits]
        upload = StatementUpload(
            id=new_id(),
            agency=agency,
            account=account,
            file_name=kept(file_name.replace("\x00", ""), MAX_NAME),
            uploaded_by=by,
            uploaded_at=self._clock.now(),
            credit_count=len(statement.credits),
            total_vnd=sum(one.amount_vnd for one in statement.credits),
            first_at=min(times),
            last_at=max(times),
            credits=await asyncio.to_thread(_packed, statement.credits),
        )
        async with self._database.transaction() as session:
            session.add(upload)
        return upload

    async def view(self, agency: str, id_: UUID) -> UploadView:
        """Raises :class:`NotFoundError`."""
        async with self._database.read() as session:
            upload = await repository.upload(session, agency, id_)
            if upload is None:
                raise NotFoundError
            if upload.credits is None:
                waiting, parked = await repository.applying(session, agency, STATEMENT)
                return UploadView(
                    upload, upload.credit_count - (upload.new_count or 0), waiting, parked
                )
            credits = await asyncio.to_thread(_unpacked, upload.credits)
            known = await repository.known(session, agency, STATEMENT, upload.account, credits)
        return UploadView(upload, known, 0, 0)

    async def take_in(self, agency: str, id_: UUID) -> bool:
        """Put a statement's credits into the inbox. False when it was taken in before. Raises :class:`NotFoundError`."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            upload = await repository.lock_upload(session, agency, id_)
            if upload is None:
                raise NotFoundError
            if upload.credits is None:
                return False
            credits = await asyncio.to_thread(_unpacked, upload.credits)
            known = await repository.known(session, agency, STATEMENT, upload.account, credits)
            new = upload.credit_count - known
            await repository.keep(
                session, now, await asyncio.to_thread(_events, agency, upload.account, credits)
            )
            upload.taken_at, upload.new_count, upload.credits = now, new, None
            await session.flush()
            await audit.record(
                session,
                audit.Action.STATEMENT_IMPORTED,
                agency=agency,
                at=now,
                subject=f"statement/{id_}",
                label=upload.file_name,
                after={
                    "account": upload.account,
                    "credits": upload.credit_count,
                    "new": new,
                    "total_vnd": upload.total_vnd,
                    "first": upload.first_at.isoformat(),
                    "last": upload.last_at.isoformat(),
                },
            )
            return True

    async def forget_old(self) -> None:
        """Statements that nobody confirmed within a day."""
        async with self._database.transaction() as session:
            await repository.forget_untaken(session, self._clock.now() - UNTAKEN_FOR)


def _packed(credits: Sequence[CreditNotice]) -> bytes:
    return zlib.compress(msgspec.json.encode(list(credits)), level=6)


def _unpacked(packed: bytes) -> list[CreditNotice]:
    return _NOTICES.decode(zlib.decompress(packed))


def _events(agency: str, account: str, credits: Sequence[CreditNotice]) -> list[Incoming]:
    return [
        Incoming(
            STATEMENT,
            f"{agency}/{account}/{one.external_id}",
            TYPE,
            one.occurred_at,
            written(one),
            agency,
        )
        for one in credits
    ]
