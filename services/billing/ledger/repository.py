"""Every SQL statement of the books."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text

from services.billing.ledger import rules
from services.billing.ledger.models import RecognitionSchedule
from shared.database import ReadSession, Session

_ENTRY = text(
    """INSERT INTO journal_entry (id, agency, currency, business_key, kind, source_id, occurred_on,
                                  occurred_at, posted_at, reverses)
       VALUES (:id, :agency, :currency, :business_key, :kind, :source_id, :occurred_on, :occurred_at,
               :posted_at, :reverses)
       ON CONFLICT (agency, business_key) DO NOTHING RETURNING id"""
)
_LINE = text(
    """INSERT INTO journal_line (entry_id, line_no, agency, account, amount_vnd)
       VALUES (:entry_id, :line_no, :agency, :account, :amount)"""
)
_ACCOUNT = text(
    """INSERT INTO ledger_account (agency, code, kind, local_code, name_vi, name_en, position)
       VALUES (:agency, :code, :kind, :local_code, :name_vi, :name_en, :position)
       ON CONFLICT (agency, code) DO NOTHING"""
)
#: Days of a backlog that one round takes of a schedule: it bounds the transaction, not the total.
DAYS_A_ROUND = 31

#: Takes due schedules, posts each of their due days as one entry, and moves them on: one statement for all.
#: What a day earns is the difference of two cumulative floors, so that all days sum exactly to the total.
_RECOGNISE = text(
    f"""WITH due AS MATERIALIZED (
          SELECT s.id, s.agency, s.currency, s.total_vnd, s.starts_on, s.ends_on, s.next_on,
                 least((CAST(:now AS timestamptz) AT TIME ZONE a.time_zone)::date + 1, s.ends_on,
                       s.next_on + {DAYS_A_ROUND}) AS upto
          FROM recognition_schedule s JOIN agency a ON a.id = s.agency
          WHERE s.closed_on IS NULL AND s.next_on < s.ends_on
            AND s.next_on <= (CAST(:now AS timestamptz) AT TIME ZONE a.time_zone)::date
            AND (CAST(:only AS uuid) IS NULL OR s.id = CAST(:only AS uuid))
          ORDER BY s.next_on, s.id LIMIT :size FOR UPDATE OF s SKIP LOCKED
        ), days AS MATERIALIZED (
          SELECT gen_random_uuid() AS entry_id, due.id, due.agency, due.currency, d.day::date AS day,
                 due.total_vnd * (d.day::date - due.starts_on + 1) / (due.ends_on - due.starts_on)
                 - due.total_vnd * (d.day::date - due.starts_on) / (due.ends_on - due.starts_on)
                 AS amount
          FROM due CROSS JOIN LATERAL
               generate_series(due.next_on, due.upto - 1, interval '1 day') AS d(day)
        ), entries AS (
          INSERT INTO journal_entry (id, agency, currency, business_key, kind, source_id, occurred_on,
                                     occurred_at, posted_at)
          SELECT entry_id, agency, currency, 'recognition:' || id || ':' || day, 'recognition', id,
                 day, CAST(:now AS timestamptz), CAST(:now AS timestamptz)
          FROM days WHERE amount > 0
        ), lines AS (
          INSERT INTO journal_line (entry_id, line_no, agency, account, amount_vnd)
          SELECT entry_id, 1, agency, '{rules.DEFERRED}', amount FROM days WHERE amount > 0
          UNION ALL
          SELECT entry_id, 2, agency, '{rules.REVENUE}', -amount FROM days WHERE amount > 0
        ), moved AS (
          UPDATE recognition_schedule s SET next_on = due.upto,
                 recognised_vnd = due.total_vnd * (due.upto - due.starts_on)
                                  / (due.ends_on - due.starts_on)
          FROM due WHERE s.id = due.id RETURNING s.id
        )
        SELECT id, agency, currency, day, amount, (SELECT count(*) FROM due) AS taken FROM days
        UNION ALL
        SELECT NULL, '', '', NULL, 0, (SELECT count(*) FROM due)"""  # noqa: S608 - constants of ours
)


@dataclass(frozen=True, slots=True)
class RecognisedDay:
    """One day's earnings of one schedule."""

    schedule_id: UUID
    agency: str
    currency: str
    day: date
    amount_vnd: int


@dataclass(frozen=True, slots=True)
class Balance:
    """An account with the sums of its two sides."""

    code: str
    kind: str
    local_code: str
    name_vi: str
    name_en: str
    debit_vnd: int
    credit_vnd: int

    @property
    def balance_vnd(self) -> int:
        return self.debit_vnd - self.credit_vnd


async def save_chart(session: Session, agency: str) -> None:
    await session.execute(
        _ACCOUNT,
        [
            {
                "agency": agency,
                "code": spec.code,
                "kind": spec.kind,
                "local_code": spec.local_code,
                "name_vi": spec.name_vi,
                "name_en": spec.name_en,
                "position": position,
            }
            for position, spec in enumerate(rules.CHART)
        ],
    )


async def insert_entry(
    session: Session, values: dict[str, Any], lines: Sequence[rules.Line]
) -> bool:
    """False when an entry with this business key is there already (and nothing was done)."""
    if (await session.execute(_ENTRY, values)).scalar_one_or_none() is None:
        return False
    await session.execute(
        _LINE,
        [
            {
                "entry_id": values["id"],
                "line_no": number,
                "agency": values["agency"],
                "account": line.account,
                "amount": line.amount_vnd,
            }
            for number, line in enumerate(lines, start=1)
        ],
    )
    return True


async def recognise(
    session: Session, now: datetime, *, size: int, only: UUID | None = None
) -> tuple[list[RecognisedDay], int]:
    """Post every due day of up to ``size`` schedules. Returns the days that earned, and how many schedules moved."""
    rows = (await session.execute(_RECOGNISE, {"now": now, "size": size, "only": only})).all()
    taken: int = next(row.taken for row in rows if row.id is None)
    return [RecognisedDay(*row[:5]) for row in rows if row.amount > 0], taken


async def schedules_for_update(session: Session, payment_id: UUID) -> list[RecognitionSchedule]:
    """The open schedules of a payment (one, unless it was split)."""
    rows = await session.scalars(
        select(RecognitionSchedule)
        .where(
            RecognitionSchedule.payment_id == payment_id,  # type: ignore[arg-type]
            RecognitionSchedule.closed_on.is_(None),  # type: ignore[union-attr]
        )
        .order_by(RecognitionSchedule.id)  # type: ignore[arg-type]
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return list(rows)


async def trial_balance(session: Session | ReadSession, agency: str) -> list[Balance]:
    rows = await session.execute(
        text(
            """SELECT a.code, a.kind, a.local_code, a.name_vi, a.name_en,
                      coalesce(sum(l.amount_vnd) FILTER (WHERE l.amount_vnd > 0), 0)::bigint,
                      coalesce(-sum(l.amount_vnd) FILTER (WHERE l.amount_vnd < 0), 0)::bigint
               FROM ledger_account a
               LEFT JOIN journal_line l ON l.agency = a.agency AND l.account = a.code
               WHERE a.agency = :agency GROUP BY a.agency, a.code ORDER BY a.position"""
        ),
        {"agency": agency},
    )
    return [Balance(*row) for row in rows]


async def entries(
    session: Session | ReadSession,
    agency: str,
    *,
    limit: int,
    source_id: UUID | None = None,
    entry_id: UUID | None = None,
    before: datetime | None = None,
) -> list[dict[str, Any]]:
    """The newest entries with their lines, each with what stands behind it."""
    rows = await session.execute(
        text(
            """SELECT e.id, e.business_key, e.kind, e.source_id, e.currency, e.occurred_on, e.occurred_at,
                      e.posted_at, e.reverses,
                      coalesce(s.payment_id, r.payment_id, p.id) AS payment_id,
                      p.subscription_id, p.provider_invoice,
                      (SELECT jsonb_agg(jsonb_build_object('account', l.account, 'local_code',
                              a.local_code, 'name_vi', a.name_vi, 'name_en', a.name_en,
                              'amount_vnd', l.amount_vnd) ORDER BY l.line_no)
                       FROM journal_line l JOIN ledger_account a
                         ON a.agency = l.agency AND a.code = l.account
                       WHERE l.entry_id = e.id) AS lines
               FROM journal_entry e
               LEFT JOIN recognition_schedule s ON s.id = e.source_id
               LEFT JOIN refund r ON r.id = e.source_id
               LEFT JOIN payment p ON p.id = coalesce(s.payment_id, r.payment_id, e.source_id)
               WHERE e.agency = :agency
                 AND (CAST(:source AS uuid) IS NULL OR e.source_id = CAST(:source AS uuid))
                 AND (CAST(:entry AS uuid) IS NULL OR e.id = CAST(:entry AS uuid))
                 AND (CAST(:before AS timestamptz) IS NULL OR e.posted_at < CAST(:before AS timestamptz))
               ORDER BY e.posted_at DESC, e.occurred_on DESC, e.id LIMIT :limit"""
        ),
        {
            "agency": agency,
            "source": source_id,
            "entry": entry_id,
            "before": before,
            "limit": limit,
        },
    )
    return [dict(row) for row in rows.mappings()]
