"""Subscriptions that are due today, as many as wanted: readers whose first month was given to them, with a card that is being charged
for the second. Straight into the tables, and so that all of billing's invariants hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from benchmarks.stripe_events import PRICE_VND, TYPE, renewal_paid
from services.billing.webhooks.repository import Incoming

AGENCY = "bao-do-toc"
MONTH, GRACE = timedelta(days=30), timedelta(days=7)
#: A kind of row, in the ids of its rows.
READER, MANDATE, FIRST, SUBSCRIPTION, PAYMENT, RIGHT, ORDER, CHARGE = range(1, 9)


def id_sql(kind: int, column: str = "n") -> str:
    """The id of a row of this kind, by the number in a column."""
    return f"('01900000-000{kind:x}-7000-8000-' || lpad(to_hex({column}), 12, '0'))::uuid"


#: In an order that the foreign keys allow.
_SEED = [
    f"""INSERT INTO reader (id, agency, email, name, created_at)
        SELECT {id_sql(READER)}, {{agency}}, 'ban-doc-' || n || '@example.vn', 'Bạn đọc ' || n, {{begin}} FROM {{numbers}}""",
    f"""INSERT INTO mandate (id, agency, reader_id, provider, customer, method, label, created_at)
        SELECT {id_sql(MANDATE)}, {{agency}}, {id_sql(READER)}, 'stripe', 'cus_' || n, 'pm_' || n, 'Visa •••• 4242', {{begin}} FROM {{numbers}}""",
    f"""INSERT INTO provider_customer (provider, reader_id, external_id)
        SELECT 'stripe', {id_sql(READER)}, 'cus_' || n FROM {{numbers}}""",
    f"""INSERT INTO sales_order (id, agency, code, reader_id, price_id, list_vnd, amount_vnd, trial_days, renews, state, language,
                                 created_at, expires_at, paid_at)
        SELECT {id_sql(FIRST)}, {{agency}}, 'DAU' || n, {id_sql(READER)}, {{price}}, {{vnd}}, 0, 30, true, 'paid', 'vi',
               {{begin}}, {{begin}} + interval '3 days', {{begin}} FROM {{numbers}}""",
    f"""INSERT INTO subscription (id, agency, reader_id, price_id, collection, mandate_id, anchor_day, state, value_vnd,
                                  period_start, period_end, mrr_vnd, review_at, version, created_at, updated_at)
        SELECT {id_sql(SUBSCRIPTION)}, {{agency}}, {id_sql(READER)}, {{price}}, 'renewal', {id_sql(MANDATE)},
               extract(day FROM {{begin}} AT TIME ZONE 'Asia/Ho_Chi_Minh')::integer, 'active', {{vnd}}, {{begin}}, {{due}}, {{vnd}},
               {{review}}, 1, {{begin}}, {{begin}} FROM {{numbers}}""",
    f"""INSERT INTO mrr_movement (subscription_id, version, movement, amount_vnd, occurred_on)
        SELECT {id_sql(SUBSCRIPTION)}, 1, 'new', {{vnd}}, {{begin}}::date FROM {{numbers}}""",
    f"""INSERT INTO payment (id, agency, subscription_id, reader_id, order_id, provider, reference, amount_vnd, period_start,
                             period_end, paid_at)
        SELECT {id_sql(PAYMENT)}, {{agency}}, {id_sql(SUBSCRIPTION)}, {id_sql(READER)}, {id_sql(FIRST)}, 'coupon', 'DAU' || n, 0, {{begin}},
               {{due}}, {{begin}} FROM {{numbers}}""",
    f"""INSERT INTO entitlement (id, agency, reader_id, subscription_id, plan_code, scope, valid_from, valid_until, updated_at)
        SELECT {id_sql(RIGHT)}, {{agency}}, {id_sql(READER)}, {id_sql(SUBSCRIPTION)}, 'doc-bao', 'site', {{begin}},
               {{due}} + interval '7 days', {{begin}} FROM {{numbers}}""",
    f"""INSERT INTO sales_order (id, agency, code, reader_id, price_id, list_vnd, amount_vnd, purpose, renews, subscription_id,
                                 language, created_at, starts_at, expires_at)
        SELECT {id_sql(ORDER)}, {{agency}}, 'HAI' || n, {id_sql(READER)}, {{price}}, {{vnd}}, {{vnd}}, 'renewal', true, {id_sql(SUBSCRIPTION)},
               'vi', {{due}}, {{due}}, {{due}} + interval '7 days' FROM {{numbers}}""",
    f"""INSERT INTO charge (id, agency, reader_id, order_id, provider, kind, mandate_id, amount_vnd, state, ask_at, created_at, updated_at)
        SELECT {id_sql(CHARGE)}, {{agency}}, {id_sql(READER)}, {id_sql(ORDER)}, 'stripe', 'mandate', {id_sql(MANDATE)}, {{vnd}}, 'created',
               {{due}} + interval '1 day', {{due}}, {{due}} FROM {{numbers}}""",
]  # fmt: skip


def charge_of(number: int) -> UUID:
    return UUID(f"01900000-000{CHARGE}-7000-8000-{number:012x}")


def reader_of(number: int) -> UUID:
    return UUID(f"01900000-000{READER}-7000-8000-{number:012x}")


async def seed(
    connection: asyncpg.Connection,
    price: UUID,
    numbers: range,
    due_at: datetime,
    *,
    asked: bool = True,
) -> None:
    """Subscriptions with these numbers, whose next month began at ``due_at``; ``asked``: and whose cards are being charged for it."""
    begin = due_at - MONTH
    given = {
        "agency": f"'{AGENCY}'",
        "price": f"'{price}'::uuid",
        "vnd": str(PRICE_VND),
        "begin": f"timestamptz '{begin.isoformat()}'",
        "due": f"timestamptz '{due_at.isoformat()}'",
        "review": f"timestamptz '{(due_at + GRACE if asked else due_at).isoformat()}'",
        "numbers": f"generate_series({numbers.start}, {numbers.stop - 1}) AS n",
    }
    for statement in _SEED if asked else _SEED[:-2]:
        await connection.execute(statement.format(**given))


def notices(numbers: Sequence[int]) -> list[Incoming]:
    """What Stripe tells of the charges of these subscriptions, all paid now."""
    now = datetime.now(UTC)
    return [
        Incoming(
            "stripe",
            f"evt_{number:024x}",
            TYPE,
            now,
            renewal_paid(f"{number:024x}", charge_of(number), f"cus_{number}", f"pm_{number}", now),
            AGENCY,
        )
        for number in numbers
    ]
