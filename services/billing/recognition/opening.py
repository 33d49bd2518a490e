"""Deferred revenue that is taken over: paid elsewhere, and earned here from now on."""

from __future__ import annotations

from datetime import datetime

from services.billing.ledger import rules as accounts
from services.billing.ledger.service import post_new
from services.billing.recognition import rules, schedules, telling
from services.billing.recognition.facts import PaymentFact
from shared.clock import local_date
from shared.database import Session


async def post_opening(session: Session, fact: PaymentFact, now: datetime) -> int:
    """A period that was paid for before we kept the books: what today and the days after it earn is deferred here, the days before are
    in the former books. Returns how much, in net đồng; with nothing left nothing is booked."""
    assert fact.period_start is not None and fact.period_end is not None
    zone = fact.agency.zone
    opened = await schedules.open_today(session, fact.agency, now)
    today = local_date(now, zone)
    whole = rules.Term(
        *rules.days_bought(local_date(fact.period_start, zone), local_date(fact.period_end, zone)),
        fact.net.amount,
    )
    left = whole.left_from(today)
    if not left:
        return 0
    lines = accounts.opening_lines(fact.stream, left)
    await post_new(session, fact.posting("opening", "opening", now, lines), now)
    await schedules.begin(
        session,
        agency=fact.agency.id,
        payment_id=fact.payment_id,
        stream=fact.stream,
        currency=fact.net.currency,
        term=rules.Term(whole.within(today), whole.ends_on, left),
        opened_through=opened,
    )
    await telling.opening(session, fact, left, now)
    return left
