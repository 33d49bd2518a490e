"""Books of some size, for who checks them: subscriptions whose first month was given to them and whose second one was paid by card, with
all that a payment leaves. Straight into the tables, and so that all of billing's invariants hold."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import asyncpg

from benchmarks import renewals
from benchmarks.renewals import AGENCY, ORDER, READER, SUBSCRIPTION, id_sql
from benchmarks.stripe_events import PRICE_VND

PAID, ENTRY, INVOICE, SCHEDULE = range(9, 13)

#: In an order that the foreign keys would allow; the second month began today, and was booked on one of 300 days.
_SECOND = [
    f"""INSERT INTO sales_order (id, agency, code, reader_id, price_id, list_vnd, amount_vnd, purpose, renews, subscription_id, state,
                                 language, created_at, starts_at, expires_at, paid_at)
        SELECT {id_sql(ORDER)}, {{agency}}, 'HAI' || n, {id_sql(READER)}, {{price}}, {{vnd}}, {{vnd}}, 'renewal', true,
               {id_sql(SUBSCRIPTION)}, 'paid', 'vi', {{due}}, {{due}}, {{due}} + interval '7 days', {{due}} FROM {{numbers}}""",
    f"""INSERT INTO payment (id, agency, subscription_id, reader_id, order_id, provider, reference, amount_vnd, period_start,
                             period_end, paid_at)
        SELECT {id_sql(PAID)}, {{agency}}, {id_sql(SUBSCRIPTION)}, {id_sql(READER)}, {id_sql(ORDER)}, 'stripe', 'pi_' || n, {{vnd}},
               {{due}}, {{due}} + interval '30 days', {{due}} FROM {{numbers}}""",
    """UPDATE subscription SET period_start = {due}, period_end = {due} + interval '30 days', review_at = {due} + interval '30 days'""",
    """UPDATE entitlement SET valid_until = {due} + interval '37 days', version = 2""",
    f"""INSERT INTO journal_entry (id, agency, currency, business_key, kind, source_id, occurred_on, booked_on, occurred_at, posted_at)
        SELECT {id_sql(ENTRY)}, {{agency}}, 'VND', 'stripe:' || n, 'payment', {id_sql(PAID)}, {{day}} - n % 300, {{day}} - n % 300, {{due}},
               {{due}} FROM {{numbers}}""",
    f"""INSERT INTO journal_line (entry_id, line_no, agency, account, booked_on, amount_vnd)
        SELECT {id_sql(ENTRY)}, line, {{agency}}, (ARRAY['stripe_receivable', 'deferred_subscription'])[line], {{day}} - n % 300,
               (3 - 2 * line) * {{vnd}} FROM {{numbers}}, generate_series(1, 2) AS line""",
    """INSERT INTO account_day SELECT agency, account, 'VND', booked_on, coalesce(sum(amount_vnd) FILTER (WHERE amount_vnd > 0), 0),
               coalesce(-sum(amount_vnd) FILTER (WHERE amount_vnd < 0), 0) FROM journal_line GROUP BY 1, 2, 3, 4""",
    f"""INSERT INTO invoice (id, agency, series, number, document, payment_id, reader_id, issued_at, issued_on, paid_on, seller_name,
                             buyer_name, buyer_email, language, currency, net_vnd, vat_vnd, gross_vnd)
        SELECT {id_sql(INVOICE)}, {{agency}}, {{series}}, n, {{series}} || '-' || n, {id_sql(PAID)}, {id_sql(READER)}, {{due}}, {{day}},
               {{day}}, 'Báo Đo Tốc', '', 'a@example.vn', 'vi', 'VND', {{vnd}}, 0, {{vnd}} FROM {{numbers}}""",
    """INSERT INTO invoice_series SELECT agency, series, max(number) FROM invoice GROUP BY 1, 2""",
    f"""INSERT INTO recognition_schedule (id, agency, payment_id, stream, currency, starts_on, ends_on, total_vnd, counted_from)
        SELECT {id_sql(SCHEDULE)}, {{agency}}, {id_sql(PAID)}, 'subscription', 'VND', {{day}}, {{day}} + 30, {{vnd}}, {{day}} + 1
        FROM {{numbers}}""",
    """INSERT INTO recognition_due (agency, stream, currency, day, amount_vnd)
        SELECT agency, stream, currency, starts_on, sum(total_vnd / 30) FROM recognition_schedule GROUP BY 1, 2, 3, 4""",
]  # fmt: skip


async def seed(
    connection: asyncpg.Connection, price: UUID, numbers: range, due_at: datetime, zone: str
) -> None:
    """Subscriptions with these numbers, two payments each. The connection is a superuser's: guards that look at each row are off."""
    await connection.execute("SET session_replication_role = replica")
    moment = "ALTER TABLE mrr_movement ALTER made_at SET DEFAULT {}"
    await connection.execute(
        moment.format(f"timestamptz '{(due_at - renewals.MONTH).isoformat()}'")
    )
    await renewals.seed(connection, price, numbers, due_at, asked=False)
    await connection.execute(moment.format("clock_timestamp()"))
    due = f"timestamptz '{due_at.isoformat()}'"
    day = f"({due} AT TIME ZONE '{zone}')::date"
    given = {
        "agency": f"'{AGENCY}'",
        "price": f"'{price}'::uuid",
        "vnd": str(PRICE_VND),
        "due": due,
        "day": day,
        "series": f"to_char({day}, 'YY')",
        "numbers": f"generate_series({numbers.start}, {numbers.stop - 1}) AS n",
    }
    for statement in _SECOND:
        await connection.execute(statement.format(**given))
    await connection.execute("SET session_replication_role = DEFAULT")
    await connection.execute("VACUUM ANALYZE")
