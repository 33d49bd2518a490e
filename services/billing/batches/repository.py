"""Every SQL statement of a batch that is not another noun's own: what is read under locks, and the rows of the payment itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from services.billing.batches.facts import KnownRight, Other, Renewal, Settled
from services.billing.plans.repository import OFFER, Offer
from services.billing.plans.rules import VatRow
from services.billing.subscriptions.repository import PERIOD, Period, dunning_of
from services.billing.subscriptions.rules import Dunning, Right
from shared.agencies import Agency

_READERS = "SELECT DISTINCT reader_id FROM charge WHERE id = ANY($1::uuid[])"
#: The order of its locks is everybody's: a reader's rows after the reader, by their ids.
_RENEWALS = """SELECT c.id, c.agency, c.reader_id, c.provider, c.kind, c.state, o.id, o.code, o.price_id, o.amount_vnd, o.credit_vnd,
       o.coupon_id, o.offer_id, o.trial_days, o.gift, o.renews, o.purpose, o.state, o.starts_at, o.expires_at, o.language, s.id,
       s.price_id, s.next_price_id, s.offer_id, s.offer_left, s.collection, s.state, s.cancel_at_period_end, s.paused_until, s.anchor_day,
       s.mrr_vnd, s.version, s.grace_spent, r.email, r.name,
       EXISTS (SELECT FROM charge p WHERE p.order_id = o.id AND p.kind = 'page' AND p.state IN ('created', 'open')),
       s.seats > 1 OR o.seats > 1 OR s.next_seats IS NOT NULL, o.list_vnd, f.kind, f.periods
    FROM charge c JOIN sales_order o ON o.id = c.order_id JOIN subscription s ON s.id = o.subscription_id
    JOIN reader r ON r.id = c.reader_id LEFT JOIN price_offer f ON f.id = o.offer_id
    WHERE c.id = ANY($1::uuid[]) ORDER BY c.id FOR UPDATE OF c, o, s"""
_PERIODS = f"""SELECT subscription_id, {PERIOD} FROM payment
    WHERE subscription_id = ANY($1::uuid[]) AND coalesce(cut_at, period_end) > period_start
    ORDER BY subscription_id, period_start, id"""  # noqa: S608 - a constant of ours
_RIGHTS = """SELECT subscription_id, id, version, plan_code, valid_from, valid_until, revoked FROM entitlement
    WHERE subscription_id = ANY($1::uuid[]) ORDER BY subscription_id, stretch FOR UPDATE"""
_OTHERS = """SELECT reader_id, id, state, collection, cancel_at_period_end FROM subscription
    WHERE reader_id = ANY($1::uuid[])"""
_BOOKED = "SELECT reference FROM payment WHERE provider = $1 AND reference = ANY($2::text[])"
_AGENCIES = """SELECT id, name, time_zone, website, further_websites FROM agency WHERE id = ANY($1::text[])"""
_OFFERS = f"{OFFER} WHERE pp.id = ANY($1::uuid[])"
_DUNNING = """SELECT agency, ahead_hours, retry_days, grace_days FROM dunning
    WHERE agency = ANY($1::text[])"""
_VAT = """SELECT valid_from, valid_until, treatment, rate_basis_points FROM vat_rate
    WHERE kind = $1 ORDER BY valid_from"""

_CHARGES = """UPDATE charge c SET state = 'captured', reference = u.reference, ask_at = NULL, updated_at = $3
    FROM unnest($1::uuid[], $2::text[]) AS u(id, reference) WHERE c.id = u.id"""
_ORDERS = "UPDATE sales_order SET state = 'paid', paid_at = $2 WHERE id = ANY($1::uuid[])"
_SUBSCRIPTIONS = """UPDATE subscription s SET state = u.state, anchor_day = u.anchor_day, value_vnd = u.value_vnd,
        period_start = u.starts_at, period_end = u.ends_at, mrr_vnd = u.mrr_vnd, review_at = u.review_at, version = u.version,
        offer_id = u.offer_id, offer_left = u.offer_left, updated_at = $12
    FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::bigint[], $5::timestamptz[], $6::timestamptz[], $7::bigint[],
                $8::timestamptz[], $9::integer[], $10::uuid[], $11::integer[])
         AS u(id, state, anchor_day, value_vnd, starts_at, ends_at, mrr_vnd, review_at, version, offer_id, offer_left)
    WHERE s.id = u.id"""
#: Wherever else the reader is in the same offer.
_LEFT = """UPDATE subscription s SET offer_left = u.offer_left
    FROM unnest($1::uuid[], $2::uuid[], $3::integer[]) AS u(reader_id, offer_id, offer_left)
    WHERE s.reader_id = u.reader_id AND s.offer_id = u.offer_id AND s.offer_left <> u.offer_left"""
_PAYMENTS = """INSERT INTO payment (id, agency, subscription_id, reader_id, order_id, provider, reference, amount_vnd,
                                    period_start, period_end, paid_at)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::bigint[],
                         $9::timestamptz[], $10::timestamptz[], $11::timestamptz[])"""
_TRANSITIONS = """INSERT INTO subscription_transition (subscription_id, from_state, to_state, at)
    SELECT id, before, after, $4 FROM unnest($1::uuid[], $2::text[], $3::text[]) AS t(id, before, after)"""
_MOVEMENTS = """INSERT INTO mrr_movement (subscription_id, version, movement, amount_vnd, occurred_on)
    SELECT * FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::bigint[], $5::date[])"""
_ANNOUNCED = """UPDATE entitlement e SET plan_code = u.plan_code, scope = u.scope, valid_from = u.valid_from,
        valid_until = u.valid_until, revoked = false, version = u.version, updated_at = $7
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::integer[])
         AS u(id, plan_code, scope, valid_from, valid_until, version)
    WHERE e.id = u.id"""


async def readers_of(connection: asyncpg.Connection, charges: Sequence[UUID]) -> list[UUID]:
    """Whose charges these are."""
    return [row[0] for row in await connection.fetch(_READERS, charges)]


async def renewals(connection: asyncpg.Connection, charges: Sequence[UUID]) -> dict[UUID, Renewal]:
    """Charges with their orders and subscriptions, locked (the caller holds their readers' locks)."""
    return {row[0]: Renewal(*row) for row in await connection.fetch(_RENEWALS, charges)}


async def periods(
    connection: asyncpg.Connection, subscriptions: Sequence[UUID]
) -> dict[UUID, list[Period]]:
    """What was paid for, by subscription, in the order of ``subscriptions.repository.periods``."""
    found: dict[UUID, list[Period]] = defaultdict(list)
    for id_, *period in await connection.fetch(_PERIODS, subscriptions):
        found[id_].append(Period(*period))
    return found


async def rights(
    connection: asyncpg.Connection, subscriptions: Sequence[UUID]
) -> dict[UUID, list[KnownRight]]:
    """The stretches of subscriptions' rights, locked, in their order."""
    found: dict[UUID, list[KnownRight]] = defaultdict(list)
    for subscription, id_, version, *right in await connection.fetch(_RIGHTS, subscriptions):
        found[subscription].append(KnownRight(id_, version, Right(*right)))
    return found


async def others(
    connection: asyncpg.Connection, readers: Sequence[UUID]
) -> dict[UUID, list[Other]]:
    """Every subscription of these readers."""
    found: dict[UUID, list[Other]] = defaultdict(list)
    for reader, *row in await connection.fetch(_OTHERS, readers):
        found[reader].append(Other(*row))
    return found


async def booked(
    connection: asyncpg.Connection, provider: str, references: Sequence[str]
) -> frozenset[str]:
    """Which of a provider's references are payments already."""
    return frozenset(row[0] for row in await connection.fetch(_BOOKED, provider, references))


async def agencies(connection: asyncpg.Connection, ids: Iterable[str]) -> dict[str, Agency]:
    return {row[0]: Agency(*row) for row in await connection.fetch(_AGENCIES, list(ids))}


async def offers(connection: asyncpg.Connection, prices: Iterable[UUID]) -> dict[UUID, Offer]:
    return {row[0]: Offer(*row) for row in await connection.fetch(_OFFERS, list(prices))}


async def dunning(connection: asyncpg.Connection, ids: Iterable[str]) -> dict[str, Dunning]:
    """How these agencies collect; one that has the defaults is left out."""
    rows = await connection.fetch(_DUNNING, list(ids))
    return {row[0]: dunning_of(*tuple(row)[1:]) for row in rows}


async def vat_rows(connection: asyncpg.Connection, kind: str) -> list[VatRow]:
    return [VatRow(*row) for row in await connection.fetch(_VAT, kind)]


async def pay(connection: asyncpg.Connection, settled: Sequence[Settled], now: datetime) -> None:
    """The charges are captured, the orders paid, the payments there, and the subscriptions as they follow."""
    rows = [one.renewal for one in settled]
    references = [one.reference for one in settled]
    await connection.execute(_CHARGES, [row.charge_id for row in rows], references, now)
    await connection.execute(_ORDERS, [row.order_id for row in rows], now)
    ids = [row.subscription_id for row in rows]
    amounts = [row.amount_vnd for row in rows]
    starts = [one.starts_at for one in settled]
    ends = [one.ends_at for one in settled]
    await connection.execute(
        _SUBSCRIPTIONS,
        ids,
        [one.state for one in settled],
        [one.anchor_day for one in settled],
        amounts,
        starts,
        ends,
        [one.mrr_vnd for one in settled],
        [one.review_at for one in settled],
        [one.version for one in settled],
        [row.offer_id for row in rows],
        [row.left_after for row in rows],
        now,
    )
    counted = [row for row in rows if row.left_after is not None]
    if counted:
        await connection.execute(
            _LEFT,
            [row.reader_id for row in counted],
            [row.offer_id for row in counted],
            [row.left_after for row in counted],
        )
    await connection.execute(
        _PAYMENTS,
        [one.payment_id for one in settled],
        [row.agency for row in rows],
        ids,
        [row.reader_id for row in rows],
        [row.order_id for row in rows],
        [row.provider for row in rows],
        references,
        amounts,
        starts,
        ends,
        [one.paid_at for one in settled],
    )


async def announce(
    connection: asyncpg.Connection,
    rights: Sequence[tuple[UUID, str, str, datetime, datetime, int]],
    now: datetime,
) -> None:
    """Rights as they are told now: (id, plan, scope, from, until, version)."""
    await connection.execute(_ANNOUNCED, *zip(*rights, strict=True), now)


async def move(connection: asyncpg.Connection, settled: Sequence[Settled], now: datetime) -> None:
    """Changes of state, and of recurring revenue, where there are any."""
    turned = [one for one in settled if one.state != one.renewal.state]
    if turned:
        await connection.execute(
            _TRANSITIONS,
            [one.renewal.subscription_id for one in turned],
            [one.renewal.state for one in turned],
            [one.state for one in turned],
            now,
        )
    moved = [one for one in settled if one.movement is not None]
    if moved:
        await connection.execute(
            _MOVEMENTS,
            [one.renewal.subscription_id for one in moved],
            [one.version for one in moved],
            [one.movement for one in moved],
            [one.mrr_vnd - one.renewal.mrr_vnd for one in moved],
            [one.paid_on for one in moved],
        )
