"""Every SQL statement about exceptions."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from shared.database import ReadSession, Session

#: A change whose price counted with money that went back afterwards ('credit') was paid with less than it cost. A refund that failed is somebody's care until it is asked for again, or put aside. What names no agency (a line of a payout that is of
#: no payment, a payout that is not the sum of its lines) is the care of those with a share in that payout; of all where none has one.
_OPEN = """WITH concerned AS (
      SELECT o.id AS payout_id, a.id AS agency FROM payout o CROSS JOIN agency a
      WHERE o.state <> 'moving'
        AND (NOT EXISTS (SELECT FROM payout_share s WHERE s.payout_id = o.id)
             OR EXISTS (SELECT FROM payout_share s WHERE s.payout_id = o.id AND s.agency = a.id))
    ), found AS (
      SELECT 'refund' AS kind, f.agency, f.id AS subject, f.failed_at AS at, f.amount_vnd, f.payment_id,
             f.provider_refund AS reference, '' AS detail
      FROM provider_refund f WHERE f.failed_at IS NOT NULL
        AND NOT EXISTS (SELECT FROM refund_request q WHERE q.payment_id = f.payment_id AND q.asked_at > f.failed_at)
      UNION ALL
      SELECT 'refund', q.agency, q.id, q.failed_at, q.amount_vnd, q.payment_id, '', q.failure
      FROM refund_request q WHERE q.state = 'failed' AND q.provider_refund IS NULL
        AND NOT EXISTS (SELECT FROM refund_request n WHERE n.payment_id = q.payment_id AND n.asked_at > q.failed_at)
      UNION ALL
      SELECT 'dispute', d.agency, d.id, d.opened_at, d.amount_vnd, d.payment_id, d.provider_dispute, d.state
      FROM dispute d LEFT JOIN refund f ON f.id = d.refund_id
      WHERE d.state = 'open' OR (d.state = 'lost' AND d.withdrawn_at IS NOT NULL AND coalesce(f.amount_vnd, 0) < d.amount_vnd)
      UNION ALL
      SELECT 'unclaimed', p.agency, p.id, p.paid_at, p.amount_vnd - p.refunded_vnd, p.id, p.reference, ''
      FROM payment p WHERE p.order_id IS NULL AND p.refunded_vnd < p.amount_vnd
      UNION ALL
      SELECT 'credit', n.agency, n.id, back.at, o.credit_vnd - back.kept, n.id, n.reference, ''
      FROM payment n JOIN sales_order o ON o.id = n.order_id AND o.credit_vnd > 0
      CROSS JOIN LATERAL (SELECT sum(b.amount_vnd - b.refunded_vnd)::bigint AS kept,
                                 max((SELECT max(f.refunded_at) FROM refund f WHERE f.payment_id = b.id AND f.failed_at IS NULL)) AS at
                          FROM payment b WHERE b.replaced_by = n.id) AS back
      WHERE n.refunded_vnd < n.amount_vnd AND back.kept < o.credit_vnd AND back.at IS NOT NULL
      UNION ALL
      SELECT 'foreign', m.agency, m.id, m.captured_at, m.amount - m.returned, NULL, m.reference, m.currency
      FROM foreign_money m WHERE m.returned < m.amount
      UNION ALL
      SELECT 'payout', c.agency, o.id, coalesce(o.failed_at, o.paid_at), o.amount_vnd, NULL, o.provider_payout, o.currency
      FROM payout o JOIN concerned c ON c.payout_id = o.id
      WHERE o.currency <> 'VND'
         OR o.amount_vnd <> (SELECT coalesce(sum(l.net_vnd), 0) FROM payout_line l WHERE l.payout_id = o.id)
      UNION ALL
      SELECT 'payout_line', c.agency, l.id, o.paid_at, l.net_vnd, NULL, o.provider_payout, l.provider_line || ' ' || l.kind
      FROM payout_line l JOIN payout o ON o.id = l.payout_id AND o.currency = 'VND' JOIN concerned c ON c.payout_id = o.id
      LEFT JOIN LATERAL (SELECT sum(t.net_vnd) AS net FROM payout_part t WHERE t.line_id = l.id) AS parts ON true
      WHERE parts.net IS DISTINCT FROM l.net_vnd AND (l.net_vnd <> 0 OR l.fee_vnd <> 0)
      UNION ALL
      SELECT 'moved', m.agency, m.id, coalesce(m.charged_at, m.begun_at), pp.amount_vnd, NULL, m.external_id,
             CASE WHEN m.charged_at IS NULL THEN m.reason ELSE 'CHARGED' END
      FROM moved_subscription m JOIN plan_price pp ON pp.id = m.price_id
      WHERE m.charged_at IS NOT NULL OR m.state = 'left'
         OR (m.state = 'begun' AND m.reason IN ('OWING', 'CHANGED', 'REFUSED'))
    ), waiting AS (
      SELECT * FROM found f WHERE NOT EXISTS (SELECT FROM exception_done d WHERE d.agency = f.agency AND d.kind = f.kind
                                              AND d.subject = f.subject)
    )"""
_LIST = text(
    f"""{_OPEN} SELECT w.*, r.id AS reader_id, r.email AS reader_email FROM waiting w
        LEFT JOIN payment p ON p.id = w.payment_id
        LEFT JOIN foreign_money m ON m.id = w.subject AND w.kind = 'foreign' LEFT JOIN charge c ON c.id = m.charge_id
        LEFT JOIN reader r ON r.id = coalesce(p.reader_id, c.reader_id)
        WHERE w.agency = :agency ORDER BY w.kind, w.at DESC, w.subject LIMIT :limit"""  # noqa: S608 - constants of ours
)
_COUNTS = text(
    f"{_OPEN} SELECT agency, kind, count(*) FROM waiting GROUP BY 1, 2"  # noqa: S608
)
_IS_OPEN = text(
    f"""{_OPEN} SELECT EXISTS (SELECT FROM waiting
        WHERE agency = :agency AND kind = :kind AND subject = :subject)"""  # noqa: S608
)


async def listing(session: ReadSession, agency: str, limit: int) -> list[dict[str, Any]]:
    """What waits, by kind, the newest first."""
    rows = await session.execute(_LIST, {"agency": agency, "limit": limit})
    return [dict(row) for row in rows.mappings()]


async def counts(session: ReadSession) -> dict[tuple[str, str], int]:
    """How many wait, by agency and kind."""
    return {(row[0], row[1]): row[2] for row in await session.execute(_COUNTS)}


async def agencies(session: ReadSession) -> list[str]:
    return [row[0] for row in await session.execute(text("SELECT id FROM agency ORDER BY 1"))]


async def put_aside(
    session: Session, agency: str, kind: str, subject: UUID, why: str, now: datetime
) -> bool:
    """False for what does not wait."""
    named = {"agency": agency, "kind": kind, "subject": subject}
    if not await session.scalar(_IS_OPEN, named):
        return False
    found = await session.execute(
        text(
            """INSERT INTO exception_done (agency, kind, subject, why, done_at)
               VALUES (:agency, :kind, :subject, :why, :now) ON CONFLICT DO NOTHING RETURNING subject"""
        ),
        {**named, "why": why, "now": now},
    )
    return found.scalar_one_or_none() is not None
