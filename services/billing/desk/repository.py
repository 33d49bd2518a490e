"""Every SQL statement of the support desk. All of them read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from services.billing.desk.rules import Search
from services.billing.offers.repository import NEXT_VND
from shared.database import ReadSession

#: The newest of each kind that a reader's page shows.
SHOWN = 100

_FIND = text(
    """SELECT r.id, r.email, r.name, r.created_at, r.erased_at,
              (SELECT p.number FROM reader_phone p WHERE p.reader_id = r.id) AS mobile_number,
              (SELECT max(e.valid_until) FROM entitlement e
               WHERE e.reader_id = r.id AND NOT e.revoked AND e.scope NOT LIKE 'article:%') AS reads_until
       FROM reader r
       WHERE r.agency = :agency
         AND (cardinality(CAST(:words AS text[])) = 0
              OR r.search LIKE ALL (SELECT '%' || regexp_replace(folded(word), '([\\\\%_])', '\\\\\\1', 'g') || '%'
                                    FROM unnest(CAST(:words AS text[])) AS word)
              OR r.id IN (SELECT o.reader_id FROM sales_order o WHERE o.agency = :agency
                          AND (o.code = ANY (CAST(:codes AS text[]))
                               OR (:code_part <> '' AND o.code LIKE '%' || :code_part || '%')))
              OR (:number <> '' AND r.id IN (SELECT i.reader_id FROM invoice i WHERE i.agency = :agency
                                             AND i.document LIKE '%' || :number || '%'))
              OR (:phone <> '' AND r.id IN (SELECT p.reader_id FROM reader_phone p WHERE p.agency = :agency
                                            AND p.number LIKE '%' || :phone || '%')))
         AND (CAST(:after_id AS uuid) IS NULL
              OR (r.created_at, r.id) < (CAST(:after_at AS timestamptz), CAST(:after_id AS uuid)))
       ORDER BY r.created_at DESC, r.id DESC LIMIT :limit"""
)


async def find(
    session: ReadSession,
    agency: str,
    search: Search,
    *,
    phone: str,
    limit: int,
    after: tuple[datetime, UUID] | None,
) -> list[dict[str, Any]]:
    """Readers that match, the newest first; all of them where nothing is looked for. ``phone``: some digits of a mobile number."""
    rows = await session.execute(
        _FIND,
        {
            "agency": agency,
            "words": list(search.words),
            "codes": list(search.codes),
            "code_part": search.code_part,
            "number": search.number,
            "phone": phone,
            "after_at": after[0] if after else None,
            "after_id": after[1] if after else None,
            "limit": limit,
        },
    )
    return [dict(row) for row in rows.mappings()]


async def reader(session: ReadSession, agency: str, reader_id: UUID) -> dict[str, Any] | None:
    rows = await session.execute(
        text(
            """SELECT r.id, r.email, r.name, r.created_at, r.erased_at,
                  (SELECT p.number FROM reader_phone p WHERE p.reader_id = r.id) AS mobile_number, c.old_email AS former_email, c.changed_at
               FROM reader r LEFT JOIN LATERAL (SELECT old_email, changed_at FROM address_change
                   WHERE reader_id = r.id AND undone_at IS NULL ORDER BY changed_at DESC LIMIT 1) c ON true
               WHERE r.agency = :agency AND r.id = :reader"""
        ),
        {"agency": agency, "reader": reader_id},
    )
    row = rows.mappings().one_or_none()
    return dict(row) if row else None


_OF_READER = {
    "subscriptions": f"""SELECT s.id, s.state, s.collection, s.cancel_at_period_end, s.period_start, s.period_end,
            s.created_at, s.seats, p.name_vi, p.name_en, pp.period,
            pp.amount_vnd * CASE WHEN p.per_seat THEN s.seats ELSE 1 END AS amount_vnd,
            f.kind AS offer_kind, f.amount_vnd AS offer_vnd, f.periods AS offer_periods, s.offer_left,
            (SELECT {NEXT_VND.format(at="greatest(s.period_end, s.paused_until)")}
                    * CASE WHEN q.per_seat THEN coalesce(s.next_seats, s.seats) ELSE 1 END
             FROM plan_price pp JOIN plan q ON q.id = pp.plan_id WHERE pp.id = coalesce(s.next_price_id, s.price_id)) AS next_vnd
        FROM subscription s JOIN plan_price pp ON pp.id = s.price_id JOIN plan p ON p.id = pp.plan_id
        LEFT JOIN price_offer f ON f.id = s.offer_id
        WHERE s.reader_id = :reader ORDER BY s.created_at DESC LIMIT :limit""",  # noqa: S608 - a constant of ours
    "rights": """SELECT e.scope, e.plan_code, e.valid_from, e.valid_until, e.revoked
        FROM entitlement e WHERE e.reader_id = :reader
        ORDER BY e.revoked, e.valid_until DESC, e.id LIMIT :limit""",
    "orders": """SELECT o.code, o.state, o.amount_vnd, o.article, o.gift, o.created_at, o.expires_at, o.paid_at,
            p.name_vi, p.name_en, pp.period
        FROM sales_order o JOIN plan_price pp ON pp.id = o.price_id JOIN plan p ON p.id = pp.plan_id
        WHERE o.reader_id = :reader ORDER BY o.created_at DESC, o.id DESC LIMIT :limit""",
    "credits": """SELECT c.id, c.reference, c.amount_vnd, c.left_vnd, c.reason, c.note, c.payer, c.occurred_at, o.code
        FROM bank_credit c JOIN sales_order o ON o.id = c.order_id
        WHERE o.reader_id = :reader AND c.left_vnd > 0 ORDER BY c.occurred_at DESC, c.id LIMIT :limit""",
    "payments": """SELECT p.id, p.order_id, p.provider, p.reference, p.amount_vnd, p.refunded_vnd, p.period_start,
            p.period_end, p.cut_at, p.replaced_by, p.paid_at, i.id AS invoice_id, i.document, o.gift, o.article, g.redeemed_at,
            o.code, l.name_vi, l.name_en, pp.period
        FROM payment p LEFT JOIN invoice i ON i.payment_id = p.id
        LEFT JOIN sales_order o ON o.id = p.order_id LEFT JOIN gift g ON g.order_id = p.order_id
        LEFT JOIN plan_price pp ON pp.id = o.price_id LEFT JOIN plan l ON l.id = pp.plan_id
        WHERE p.reader_id = :reader ORDER BY p.paid_at DESC, p.id DESC LIMIT :limit""",
    "refunds": """SELECT f.payment_id, f.amount_vnd, f.refunded_at, f.provider_refund, f.kind, f.failed_at
        FROM refund f JOIN payment p ON p.id = f.payment_id
        WHERE p.reader_id = :reader ORDER BY f.refunded_at DESC, f.id LIMIT :limit""",
    "requests": """SELECT q.id, q.payment_id, q.amount_vnd, q.reason, q.state, q.by_card, q.failure, q.asked_name, q.asked_at,
            q.refused_why
        FROM refund_request q JOIN payment p ON p.id = q.payment_id
        WHERE p.reader_id = :reader AND q.state <> 'paid' ORDER BY q.asked_at DESC, q.id LIMIT :limit""",
    "given": """SELECT o.code AS order_code, g.created_at, g.redeemed_at, r.id AS other_id, r.email AS other_email,
            p.refunded_vnd >= greatest(p.amount_vnd, 1) AS returned, w.email AS recipient, w.send_on, l.sent_at
        FROM gift g JOIN sales_order o ON o.id = g.order_id JOIN payment p ON p.order_id = o.id
        LEFT JOIN reader r ON r.id = g.redeemed_by LEFT JOIN gift_recipient w ON w.order_id = o.id AND w.times > 0
        LEFT JOIN letter l ON l.agency = w.agency AND l.business_key = 'gift:' || w.order_id || ':' || w.times
        WHERE o.reader_id = :reader ORDER BY g.created_at DESC, g.id LIMIT :limit""",
    "redeemed": """SELECT o.code AS order_code, g.redeemed_at, r.id AS other_id, r.email AS other_email
        FROM gift g JOIN sales_order o ON o.id = g.order_id JOIN reader r ON r.id = o.reader_id
        WHERE g.redeemed_by = :reader ORDER BY g.redeemed_at DESC, g.id LIMIT :limit""",
    "days": """SELECT g.id, g.days, g.starts_at, g.ends_at, g.reason, g.given_name, g.given_at, e.ended_at, e.ended_name,
            e.reason AS ended_why
        FROM given_days g LEFT JOIN given_days_ended e ON e.given_id = g.id
        WHERE g.reader_id = :reader ORDER BY g.given_at DESC, g.id LIMIT :limit""",
    "bundles": """SELECT b.id, o.code, l.name_vi, l.name_en, pp.period, b.uses, b.valid_from, b.valid_until,
            p.refunded_vnd >= greatest(p.amount_vnd, 1) AS returned,
            ARRAY(SELECT u.article FROM bundle_use u WHERE u.bundle_id = b.id ORDER BY u.number) AS articles
        FROM bundle b JOIN sales_order o ON o.id = b.order_id JOIN plan_price pp ON pp.id = o.price_id
        JOIN plan l ON l.id = pp.plan_id JOIN payment p ON p.order_id = b.order_id
        WHERE b.reader_id = :reader ORDER BY b.valid_until DESC, b.id LIMIT :limit""",
    "members": """SELECT t.subscription_id, t.number, t.joined_at, t.seen_at, t.ended_at, t.ended_by, r.id AS other_id, r.email AS other_email
        FROM seat t JOIN subscription s ON s.id = t.subscription_id JOIN reader r ON r.id = t.reader_id
        WHERE s.reader_id = :reader ORDER BY t.ended_at IS NOT NULL, t.number, t.ended_at DESC, t.id LIMIT :limit""",
    "seats": """SELECT t.number, t.joined_at, t.seen_at, t.ended_at, t.ended_by, o.id AS other_id, o.email AS other_email, p.name_vi, p.name_en
        FROM seat t JOIN subscription s ON s.id = t.subscription_id JOIN reader o ON o.id = s.reader_id
        JOIN plan_price pp ON pp.id = s.price_id JOIN plan p ON p.id = pp.plan_id
        WHERE t.reader_id = :reader ORDER BY t.joined_at DESC, t.id LIMIT :limit""",
    "sessions": """SELECT s.user_agent, s.network, s.created_at, s.last_seen_at FROM reader_session s
        WHERE s.reader_id = :reader AND s.ended_at IS NULL AND s.expires_at > :now
        ORDER BY s.last_seen_at DESC, s.id LIMIT :limit""",
    "consents": """SELECT DISTINCT ON (purpose) purpose, granted, version, wording, given_at FROM consent
        WHERE reader_id = :reader ORDER BY purpose, given_at DESC, id DESC LIMIT :limit""",
}


async def of_reader(
    session: ReadSession, what: str, reader_id: UUID, now: datetime
) -> list[dict[str, Any]]:
    """The newest rows of a kind (a key of the table above) that are this reader's."""
    sql = _OF_READER[what]
    values = {"reader": reader_id, "limit": SHOWN}
    rows = await session.execute(text(sql), values | ({"now": now} if ":now" in sql else {}))
    return [dict(row) for row in rows.mappings()]


KINDS: Sequence[str] = tuple(_OF_READER)


async def subjects(session: ReadSession, reader_id: UUID) -> list[str]:
    """What entries of the audit trail that concern a reader are about: they, credits of their orders, refunds of theirs."""
    rows = await session.execute(
        text(
            """SELECT 'reader/' || CAST(:reader AS text)
               UNION SELECT 'bank-credit/' || c.id FROM bank_credit c JOIN sales_order o ON o.id = c.order_id
                     WHERE o.reader_id = CAST(:reader AS uuid)
               UNION SELECT 'refund/' || q.id FROM refund_request q JOIN payment p ON p.id = q.payment_id
                     WHERE p.reader_id = CAST(:reader AS uuid)"""
        ),
        {"reader": str(reader_id)},
    )
    return [row[0] for row in rows]
