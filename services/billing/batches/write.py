"""What follows from the renewals of a batch, written: a few statements, whatever their number.

Order of locks: readers, then their rows (both are held by the caller), then the books by agency, then the invoices' series.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from services.billing.batches import repository
from services.billing.batches.facts import Settled
from services.billing.invoices import repository as invoices_repository
from services.billing.invoices.service import Buyer, InvoiceFact, drawn_up
from services.billing.ledger import repository as ledger_repository
from services.billing.ledger import rules as accounts
from services.billing.ledger.service import post_many
from services.billing.letters import repository as letters_repository
from services.billing.letters import rules as letter_rules
from services.billing.payments.rules import Sale, sold_line
from services.billing.plans.service import PRESS_SUBSCRIPTION
from services.billing.recognition import repository as recognition_repository
from services.billing.recognition import rules as recognition_rules
from services.billing.recognition import telling
from services.billing.recognition.facts import PaymentFact
from services.billing.subscriptions.announce import Told, event_of, reason
from services.billing.subscriptions.service import mrr_told
from shared.clock import local_date
from shared.contracts.envelope import Event
from shared.ids import new_id
from shared.money import Money
from shared.outbox import record_raw


async def write(connection: asyncpg.Connection, settled: Sequence[Settled], now: datetime) -> None:
    """Everything, in the caller's transaction."""
    facts = [_fact(one) for one in settled]
    await repository.pay(connection, settled, now)
    await repository.move(connection, settled, now)
    rights = [
        (known.id, right.plan_code, one.offer.scope, right.valid_from, right.valid_until, known.version + 1)
        for one in settled
        for known, _, right in one.rights
    ]  # fmt: skip
    if rights:
        await repository.announce(connection, rights, now)
    await _book(connection, settled, facts, now)
    numbered = await _issue(connection, settled, now)
    letters = [
        (new_id(), one.renewal.agency, one.renewal.reader_id, _receipt(one, invoice))
        for one, invoice in zip(settled, numbered, strict=True)
    ]
    await letters_repository.write_many(connection, letters, now)
    events = [
        event for one, fact in zip(settled, facts, strict=True) for event in _events(one, fact, now)
    ]
    await record_raw(connection, events)


def _fact(one: Settled) -> PaymentFact:
    return PaymentFact(
        one.payment_id,
        one.agency,
        f"order:{one.renewal.code}",
        Money(one.renewal.amount_vnd),
        one.vat_vnd,
        one.paid_at,
        one.starts_at,
        one.ends_at,
    )


async def _book(
    connection: asyncpg.Connection,
    settled: Sequence[Settled],
    facts: Sequence[PaymentFact],
    now: datetime,
) -> None:
    """The journal, and what the days of the periods earn."""
    agencies = {one.agency.id: one.agency for one in settled}
    books = await ledger_repository.lock_many(connection, sorted(agencies))
    today = {id_: local_date(now, agency.zone) for id_, agency in agencies.items()}
    await recognition_repository.open_many(
        connection, {id_: day for id_, day in today.items() if books[id_].opened_through < day}
    )
    opened = {id_: max(books[id_].opened_through, day) for id_, day in today.items()}
    postings = [
        fact.posting(
            "paid",
            "payment",
            fact.paid_at,
            accounts.payment_lines(fact.stream, fact.amount.amount, fact.vat_vnd, fact.debit),
        )
        for fact in facts
    ]
    await post_many(connection, postings, now)
    schedules, due = list[Any](), list[tuple[str, str, str, date, int]]()
    for one, fact in zip(settled, facts, strict=True):
        agency, currency = fact.agency.id, fact.net.currency
        term = recognition_rules.Term(*_days(one), fact.net.amount)
        counted_from, earned = recognition_rules.begun(term, opened[agency])
        schedules.append(
            (new_id(), agency, fact.payment_id, fact.stream, currency, *term, counted_from)
        )
        due += [(agency, fact.stream, currency, day, amount) for day, amount in earned]
    await recognition_repository.begin_many(connection, schedules, due)


def _days(one: Settled) -> tuple[date, date]:
    zone = one.agency.zone
    return recognition_rules.days_bought(
        local_date(one.starts_at, zone), local_date(one.ends_at, zone)
    )


def _sale(one: Settled) -> Sale:
    row, offer = one.renewal, one.offer
    return Sale(
        row.email,
        row.name,
        offer.name_vi,
        offer.name_en,
        offer.period,
        row.language,
        row.code,
        row.order_renews,
        row.credit_vnd,
        offer.kind,
        offer.uses,
    )


async def _issue(
    connection: asyncpg.Connection, settled: Sequence[Settled], now: datetime
) -> list[tuple[UUID, str]]:
    """The invoices, each as its id and number."""
    drawn = []
    for one in settled:
        row, bought = one.renewal, (one.starts_at, one.ends_at)
        line = sold_line(_sale(one), row.amount_vnd, PRESS_SUBSCRIPTION, bought, one.agency.zone)
        fact = InvoiceFact(
            one.payment_id,
            one.agency,
            Buyer(row.reader_id, row.email, row.name),
            one.paid_at,
            "VND",
            (line,),
            row.language,
        )
        drawn.append(drawn_up(fact, [one.tax], now))
    numbers = await invoices_repository.insert_many(connection, drawn)
    return [(head["id"], numbers[head["id"]]) for head, _ in drawn]


def _receipt(one: Settled, invoice: tuple[UUID, str]) -> letter_rules.Draft:
    row, offer = one.renewal, one.offer
    return letter_rules.receipt(
        letter_rules.Paid(
            one.payment_id,
            letter_rules.Sold(offer.name_vi, offer.name_en, offer.period),
            row.amount_vnd,
            one.vat_vnd,
            one.tax.rate_basis_points,
            one.paid_at,
            one.starts_at,
            one.ends_at,
            order_code=row.code,
            renews=row.order_renews,
            invoice=invoice,
            kind=offer.kind,
            uses=offer.uses,
            offer=row.offer.facts if row.offer else None,
        )
    )


def _events(one: Settled, fact: PaymentFact, now: datetime) -> Iterator[Event[Any]]:
    row = one.renewal
    yield telling.payment_event(fact, now)
    for known, word, right in one.rights:
        told = Told(
            known.id,
            row.agency,
            row.reader_id,
            row.subscription_id,
            one.offer.scope,
            known.version + 1,
            word,
            right,
        )
        yield event_of(told, reason(one.facts), now)
    if one.movement is not None:
        change = one.mrr_vnd - row.mrr_vnd
        yield mrr_told(
            row.agency, row.subscription_id, one.version, one.movement, change, one.paid_on, now
        )
