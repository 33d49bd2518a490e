"""Payouts: what a provider sent to the bank is booked once, for each agency what is its own.

One account at the provider may serve several agencies: a payout is split by whose payment each line is of. A line of no payment that is
known stays open, for finance to see; when the payment becomes known it is booked. A payout that came back is booked, and its
opposite but for the fees: the provider keeps those, and sends the rest again with a later payout.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import groupby

import structlog

from services.billing.ledger import rules as accounts
from services.billing.ledger.service import Posting, post_new
from services.billing.payments.adapters.port import PaymentProvider, PayoutMoved
from services.billing.settlements import repository
from services.billing.settlements.models import Payout, PayoutShare
from services.billing.settlements.repository import Unbooked
from shared.agencies import get_agency
from shared.clock import Clock, local_date
from shared.database import Database, Session
from shared.ids import new_id

log = structlog.get_logger(__name__)

#: The first reading of a provider's list goes so far back, every other one so far before the last: payouts arrive days later.
BEGINNING, AGAIN = timedelta(days=90), timedelta(days=10)
#: How long a line that is nobody's is compared with payments that became known since.
COMPARED_FOR = timedelta(days=90)


async def payout_moved(session: Session, provider: str, fact: PayoutMoved, now: datetime) -> bool:
    """Apply what a provider says of a payout, in the caller's transaction. False when nothing is new. It may be told in any order."""
    row = await repository.keep(session, provider, fact, now)
    before = row.state
    if row.state == "moving" and (fact.paid or fact.failed):
        row.state, row.paid_at = "paid", now
    if fact.failed and row.state == "paid":
        row.state, row.failed_at = "failed", now
    await session.flush()
    return await book(session, row, now) or row.state != before


async def book(session: Session, row: Payout, now: datetime) -> bool:
    """Book what has arrived and is known to be an agency's (the caller holds the payout). Whether anything was."""
    if row.state == "moving" or row.currency != "VND":
        return False
    done = list(await repository.shares(session, row.id))
    fresh = [
        await _share(session, row, done, agency, list(of), now)
        for agency, of in _by_agency(await repository.unbooked(session, row))
    ]
    failed = [one for one in (*done, *fresh) if row.state == "failed" and one.failed_at is None]
    for share in sorted(failed, key=lambda one: (one.agency, one.number)):
        await _came_back(session, row, share, now)
    return bool(fresh or failed)


def _by_agency(found: Iterable[Unbooked]) -> Iterable[tuple[str, Iterable[Unbooked]]]:
    """In one order everywhere: each agency's books are held from its first entry on."""
    return groupby(found, key=lambda one: one.agency)


async def _share(
    session: Session,
    row: Payout,
    done: list[PayoutShare],
    agency: str,
    of: list[Unbooked],
    now: datetime,
) -> PayoutShare:
    share = PayoutShare(
        id=new_id(),
        payout_id=row.id,
        agency=agency,
        number=1 + sum(one.agency == agency for one in done),
        net_vnd=sum(one.net_vnd for one in of),
        fees_vnd=sum(one.fees_vnd for one in of),
        booked_at=now,
    )
    repository.add_share(session, share)
    await session.flush()
    repository.add_parts(session, share, of)
    await session.flush()
    lines = accounts.payout_lines(share.net_vnd, share.fees_vnd)
    await _post(session, row, share, accounts.PAYOUT, lines, now)
    return share


async def _came_back(session: Session, row: Payout, share: PayoutShare, now: datetime) -> None:
    share.failed_at = now
    await session.flush()
    lines = accounts.payout_failed_lines(share.net_vnd, 0)
    await _post(session, row, share, accounts.PAYOUT_FAILED, lines, now)


async def _post(
    session: Session,
    row: Payout,
    share: PayoutShare,
    kind: str,
    lines: tuple[accounts.Line, ...],
    now: datetime,
) -> None:
    if not lines:
        return
    agency = await get_agency(session, share.agency)
    today = local_date(now, agency.zone)
    posting = Posting(
        share.agency,
        f"{row.provider}:{kind}:{row.provider_payout}:{share.number}",
        kind,
        share.id,
        min(row.arrives_on, today) if kind == accounts.PAYOUT else today,
        now,
        lines,
    )
    await post_new(session, posting, now)


class Settlements:
    """The worker's part: the provider's own list of payouts, and lines whose payment became known afterwards."""

    def __init__(self, database: Database, clock: Clock, provider: PaymentProvider) -> None:
        self._database = database
        self._clock = clock
        self._provider = provider

    async def read(self) -> int:
        """Read the list, and compare what is open. Returns how many payouts had news.

        The cursor moves only after everything on the list is kept.
        """
        name, now = self._provider.name, self._clock.now()
        async with self._database.read() as reading:
            seen = await repository.seen_until(reading, name)
        news = 0
        async for fact in self._provider.payouts_since(
            seen - AGAIN if seen is not None else now - BEGINNING
        ):
            async with self._database.transaction() as session:
                news += await payout_moved(session, name, fact, self._clock.now())
        async with self._database.transaction() as session:
            await repository.save_seen_until(session, name, now)
        return news + await self.compare()

    async def compare(self) -> int:
        """Lines that were nobody's and have a payment now. Returns how many payouts had some."""
        name, now = self._provider.name, self._clock.now()
        async with self._database.read() as reading:
            open_ = await repository.unfinished(reading, name, now - COMPARED_FOR)
        found = 0
        for id_ in open_:
            async with self._database.transaction() as session:
                found += await book(session, await repository.lock(session, id_), now)
        return found
