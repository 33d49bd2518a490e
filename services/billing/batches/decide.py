"""Which notifications are the plain case, and what follows from them: values in, values out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.billing.batches.facts import Decided, Known, Renewal, Settled, Told
from services.billing.payments.adapters.port import Captured
from services.billing.plans.rules import (
    NoVatRateError,
    anchor_of,
    end_of_period,
    monthly,
    vat_included,
    vat_row,
)
from services.billing.subscriptions import rules
from services.billing.subscriptions.rules import Facts, Paid, State
from services.billing.webhooks.repository import Claimed
from shared.clock import local_date
from shared.ids import new_id

#: Whose next period is collected by the clock, and nothing stands in its way.
RUNNING = frozenset({State.ACTIVE, State.PAST_DUE, State.GRACE})


def decide(told: Sequence[Told], known: Known, provider: str, now: datetime) -> Decided:
    """Sort the notifications of a batch. What of one reader follows the first one of theirs is left: it depends on it."""
    settled, booked, left = list[Settled](), list[Claimed](), list[Claimed]()
    readers, references = set[UUID](), set[str]()
    for one in told:
        renewal = known.renewals.get(one.fact.charge_id) if one.fact.charge_id else None
        if renewal is None or renewal.reader_id in readers or one.fact.reference in references:
            left.append(one.event)
            continue
        if one.fact.reference in known.booked:
            booked.append(one.event)
            continue
        readers.add(renewal.reader_id)
        references.add(one.fact.reference)
        found = None
        if plain(renewal, one.fact, known, provider):
            found = settle(one, renewal, known, now)
        if found is None:
            left.append(one.event)
        else:
            settled.append(found)
    return Decided(settled, booked, left)


def plain(row: Renewal, fact: Captured, known: Known, provider: str) -> bool:
    """Whether it is what most are: the card paid what was asked for the next period of a subscription that runs, at its own price or
    at the offer that it is in."""
    charge = (
        row.kind == "mandate"
        and row.provider == provider
        and row.charge_state in ("created", "processing")
        and not row.page
    )
    order = (
        row.purpose == "renewal"
        and row.order_state == "open"
        and row.order_renews
        and not row.gift
        and row.coupon_id is None
        and row.trial_days is None
        and row.credit_vnd == 0
        and row.order_price_id == row.price_id
        and (row.offer_id is None or (row.offer_id == row.held_offer_id and row.offer_left != 0))
    )
    subscription = (
        row.collection == rules.RENEWAL
        and State(row.state) in RUNNING
        and not row.cancels
        and row.next_price_id is None
        and row.paused_until is None
        and row.mrr_vnd > 0
        and not row.group
    )
    money = fact.currency == "VND" and fact.amount == row.amount_vnd > 0
    alone = not any(
        rules.renews(other.state, other.collection, cancels=other.cancels)
        for other in known.others.get(row.reader_id, ())
        if other.id != row.subscription_id
    )
    return charge and order and subscription and money and alone


def settle(told: Told, row: Renewal, known: Known, now: datetime) -> Settled | None:
    """What follows from a plain renewal that was paid. None where it turns out not to be one."""
    fact, agency = told.fact, known.agencies[row.agency]
    offer = known.offers[row.price_id]
    periods = known.periods.get(row.subscription_id, ())
    before = Facts(
        row.collection,
        tuple(one.paid for one in periods if not one.returned),
        known.dunning.get(row.agency) or rules.Dunning(),
        grace_spent=row.grace_spent,
    )
    paid_at = min(fact.captured_at, now)  # the provider's clock may be ahead of ours
    if offer.kind != "period" or before.due_at is None:
        return None
    if row.starts_at != before.due_at or paid_at >= row.expires_at:
        return None  # another period was paid for meanwhile, or it is late
    starts_at = rules.next_start(before, paid_at, None)
    if starts_at != before.due_at:
        return None  # what was read has ended: a period of its own
    anchor_day = starts_at.astimezone(agency.zone).day
    if starts_at == before.paid_until:  # it follows
        anchor_day = anchor_of(row.anchor_day, starts_at, agency.zone)
    ends_at = end_of_period(starts_at, offer.period, agency.zone, anchor_day)
    paid = sorted((*before.paid, Paid(starts_at, ends_at)), key=lambda one: one.starts_at)
    facts = Facts(row.collection, tuple(paid), before.dunning, grace_spent=row.grace_spent)
    state = rules.derive_state(facts, now)
    day = local_date(paid_at, agency.zone)
    try:
        tax = vat_row(known.vat, day)
    except NoVatRateError:
        return None
    vat_vnd = vat_included(row.amount_vnd, tax)
    recurs = rules.recurs(state, facts, now)
    mrr_vnd = monthly(row.amount_vnd - vat_vnd, offer.period) if recurs else 0
    stored = known.rights.get(row.subscription_id, ())
    told_before, wanted = [one.right for one in stored], rules.stretches(facts)
    rights = rules.announcements(wanted, told_before, offer.plan_code, now)
    unusual = any(number >= len(stored) or word != "changed" for number, word, _ in rights)
    if unusual or not rules.may_become(State(row.state), state):
        return None
    return Settled(
        event=told.event,
        renewal=row,
        agency=agency,
        offer=offer,
        reference=fact.reference,
        paid_at=paid_at,
        starts_at=starts_at,
        ends_at=ends_at,
        anchor_day=anchor_day,
        tax=tax,
        vat_vnd=vat_vnd,
        facts=facts,
        state=state,
        review_at=rules.review_at(facts, now),
        mrr_vnd=mrr_vnd,
        movement=rules.mrr_movement(row.mrr_vnd, mrr_vnd, returning=False),
        rights=[(stored[number], word, right) for number, word, right in rights],
        payment_id=new_id(),
    )
