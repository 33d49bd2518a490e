"""Every SQL statement about letters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import select, text
from sqlmodel import col

from services.billing.letters import rules
from services.billing.letters.models import Letter
from services.billing.letters.rules import Draft, Kind
from services.billing.letters.truth import OrderNow, SubscriptionNow
from services.billing.offers.repository import NEXT_VND, RISES
from services.billing.readers.models import Reader
from shared.database import ReadSession, Session

_WRITE = text(
    """INSERT INTO letter (id, agency, reader_id, kind, recipient, business_key, language, facts, created_at, due_at,
                           next_attempt_at)
       SELECT :id, r.agency, r.id, :kind, :recipient, :key, r.language, CAST(:facts AS jsonb), :now, :due, :due
       FROM reader r WHERE r.id = :reader AND r.agency = :agency AND r.erased_at IS NULL
       ON CONFLICT (agency, business_key) DO NOTHING RETURNING id"""
)
_WRITE_MANY = """INSERT INTO letter (id, agency, reader_id, kind, business_key, language, facts, created_at, due_at, next_attempt_at)
    SELECT l.id, r.agency, r.id, l.kind, l.key, r.language, l.facts, $7, $7, $7
    FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::jsonb[])
         WITH ORDINALITY AS l(id, agency, reader, kind, key, facts, n)
    JOIN reader r ON r.id = l.reader AND r.agency = l.agency AND r.erased_at IS NULL ORDER BY l.n
    ON CONFLICT (agency, business_key) DO NOTHING"""

#: Letters of a subscription that say whether it renews.
_OF_WISHES = """reader_id = :reader AND kind = ANY (CAST(:kinds AS text[]))
    AND facts ->> 'subscription' = :subscription"""
_DROP_WISHES = text(
    f"UPDATE letter SET state = 'dropped' WHERE {_OF_WISHES} AND state IN ('waiting', 'given_up')"  # noqa: S608
)
_WISH_TOLD = text(
    f"""SELECT kind, sent_at FROM letter WHERE {_OF_WISHES} AND state = 'sent'
        ORDER BY sent_at DESC, id DESC LIMIT 1"""  # noqa: S608 - a constant of ours
)

#: What a reminder tells, and the key that says which end it is of.
_REMINDER = """SELECT s.agency, s.reader_id, s.id AS subscription_id, due.at, due.at > s.period_end AS pauses, p.name_vi, p.name_en, pp.period,
      due.key, {next} * due.seats AS next_vnd, (SELECT c.amount_vnd * due.seats FROM plan_price c WHERE c.plan_id = pp.plan_id
                AND c.period = pp.period AND c.superseded_at IS NULL AND p.active) AS current_vnd,
      pp.superseded_at IS NULL AND p.active AS sold, m.label AS card
    FROM subscription s LEFT JOIN mandate m ON m.id = s.mandate_id
    JOIN plan_price pp ON pp.id = coalesce(s.next_price_id, s.price_id) JOIN plan p ON p.id = pp.plan_id JOIN agency a ON a.id = s.agency
    CROSS JOIN LATERAL (SELECT greatest(s.period_end, s.paused_until) AS at) ends
    CROSS JOIN LATERAL (SELECT ends.at, CAST(:kind AS text) || ':' || s.id || ':'
        || to_char(ends.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') AS key,
        CASE WHEN p.per_seat THEN coalesce(s.next_seats, s.seats) ELSE 1 END AS seats) due
    WHERE NOT EXISTS (SELECT FROM letter l WHERE l.agency = s.agency AND l.business_key = due.key)
      AND EXISTS (SELECT FROM payment y WHERE y.subscription_id = s.id AND y.period_end = s.period_end
                  AND y.refunded_vnd < greatest(y.amount_vnd, 1))
      AND {condition} AND NOT EXISTS (SELECT FROM reader r WHERE r.id = s.reader_id AND r.erased_at IS NOT NULL)
    ORDER BY due.at, s.id LIMIT :limit"""
_NOTHING_ELSE = """NOT EXISTS (SELECT FROM entitlement e WHERE e.reader_id = s.reader_id AND e.agency = s.agency
    AND (e.subscription_id <> s.id OR e.given_id IS NOT NULL OR e.seat_id IS NOT NULL)
    AND NOT e.revoked AND e.valid_until > {after})"""
_DUE = {
    Kind.TERM_ENDING: f"""s.collection = 'term' AND s.period_end > :now AND s.period_end <= :until
        AND {_NOTHING_ELSE.format(after="s.period_end")}""",
    Kind.TERM_ENDED: f"""s.collection = 'term' AND s.period_end <= :now AND s.period_end > :since
        AND :now >= (date_trunc('day', s.period_end AT TIME ZONE a.time_zone)
                     + make_interval(days => 1, hours => :hour)) AT TIME ZONE a.time_zone
        AND {_NOTHING_ELSE.format(after=":now")}""",
    # A pause puts off when the next period begins.
    Kind.RENEWAL_REMINDER: """s.collection = 'renewal' AND s.state IN ('active', 'paused') AND NOT s.cancel_at_period_end
        AND pp.period = ANY(:periods)
        AND (s.period_end > :now AND s.period_end <= :until AND (s.paused_until <= s.period_end) IS NOT FALSE
             OR s.paused_until > :now AND s.paused_until <= :until AND s.paused_until > s.period_end)
        AND NOT (s.next_price_id IS NULL AND {rises})""",
    Kind.TRIAL_ENDING: """s.state = 'trialing' AND s.paused_until IS NULL AND s.period_end > :now AND s.period_end <= :until
        AND s.period_end - s.period_start > CAST(:shortest AS interval)""",
}

_BEFORE = {Kind.TERM_ENDING: rules.ENDING_BEFORE, Kind.TRIAL_ENDING: rules.TRIAL_BEFORE}
_BY_CARD = (Kind.RENEWAL_REMINDER, Kind.TRIAL_ENDING)

_SUBSCRIPTION_NOW = text(
    """SELECT s.state, s.cancel_at_period_end, s.period_end, greatest(s.period_end, s.paused_until),
              EXISTS (SELECT FROM payment y WHERE y.subscription_id = s.id AND y.period_end = s.period_end
                      AND y.refunded_vnd < greatest(y.amount_vnd, 1)),
              (SELECT max(e.valid_until) FROM entitlement e WHERE e.reader_id = s.reader_id AND e.agency = s.agency
               AND (e.subscription_id <> s.id OR e.given_id IS NOT NULL OR e.seat_id IS NOT NULL) AND NOT e.revoked)
       FROM subscription s WHERE s.id = :id AND s.agency = :agency"""
)
_ORDER_NOW = text(
    """SELECT o.state, o.expires_at, greatest(o.amount_vnd - coalesce((SELECT sum(c.left_vnd) FROM bank_credit c
                  WHERE c.order_id = o.id AND c.reason = 'under'), 0), 0)::bigint
       FROM sales_order o WHERE o.id = :id AND o.agency = :agency"""
)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A letter in somebody's hands, for as long as their transaction lives, and the address it goes to."""

    id: UUID
    agency: str
    reader_id: UUID
    kind: Kind
    language: str
    facts: dict[str, Any]
    due_at: datetime
    attempts: int
    email: str


@dataclass(frozen=True, slots=True)
class LettersState:
    """``waiting``: due and not sent; ``oldest_at``: since when the oldest of them is due."""

    waiting: int
    given_up: int
    oldest_at: datetime | None


async def write(
    session: Session,
    id_: UUID,
    agency: str,
    reader_id: UUID,
    draft: Draft,
    now: datetime,
    due_at: datetime,
) -> bool:
    """Whether it is new. Who was erased is written to no more."""
    values = {
        "id": id_,
        "agency": agency,
        "reader": reader_id,
        "kind": draft.kind,
        "recipient": draft.recipient,
        "key": draft.key,
        "facts": json.dumps(draft.facts, ensure_ascii=False),
        "now": now,
        "due": due_at,
    }
    return (await session.execute(_WRITE, values)).first() is not None


async def write_many(
    connection: asyncpg.Connection,
    letters: Sequence[tuple[UUID, str, UUID, Draft]],
    now: datetime,
) -> None:
    """:func:`write` of many: (id, agency, reader, letter)."""
    rows = [
        (id_, agency, reader, draft.kind, draft.key, json.dumps(draft.facts, ensure_ascii=False))
        for id_, agency, reader, draft in letters
    ]
    await connection.execute(_WRITE_MANY, *zip(*rows, strict=True), now)


async def reminders_due(
    session: Session, kind: Kind, now: datetime, limit: int
) -> Sequence[tuple[str, UUID, Draft]]:
    """(agency, reader, letter) of reminders of a kind whose time has come and which are not written yet."""
    before = _BEFORE.get(kind, rules.RENEWAL_BEFORE)
    values: dict[str, Any] = {"kind": kind, "now": now, "limit": limit}
    if kind is Kind.TERM_ENDED:
        values |= {"since": now - rules.ENDED_WITHIN, "hour": rules.ENDED_HOUR}
    else:
        values |= {"until": now + before}
    if kind is Kind.TRIAL_ENDING:
        values |= {"shortest": rules.TRIAL_BEFORE}
    if kind is Kind.RENEWAL_REMINDER:
        values |= {"periods": list(rules.LONG_PERIODS)}
    next_vnd, rises = NEXT_VND.format(at="due.at"), RISES.format(at="due.at")
    condition = _DUE[kind].replace("{rises}", rises)
    rows = await session.execute(text(_REMINDER.format(condition=condition, next=next_vnd)), values)
    return [
        (
            row.agency,
            row.reader_id,
            Draft(
                kind,
                row.key,
                {
                    **rules.Sold(row.name_vi, row.name_en, row.period).facts,
                    "subscription": str(row.subscription_id),
                    "ends_at": row.at.isoformat(),
                    # A card is charged what was agreed; a new term costs what it costs now, where it is still sold.
                    "amount_vnd": row.next_vnd
                    if kind in _BY_CARD or (kind is Kind.TERM_ENDING and row.sold)
                    else row.current_vnd,
                    **({"card": row.card} if kind in _BY_CARD else {}),
                    **({"pauses": True} if row.pauses else {}),
                },
            ),
        )
        for row in rows
    ]


async def claim(session: Session, now: datetime) -> Claimed | None:
    """The next due one, locked until the transaction ends; nothing else is locked with it."""
    row = (
        await session.execute(
            select(Letter, Reader.email)  # type: ignore[call-overload]
            .join(Reader, col(Reader.id) == col(Letter.reader_id))
            .where(col(Letter.state) == "waiting", col(Letter.next_attempt_at) <= now)
            .order_by(col(Letter.next_attempt_at), col(Letter.id))
            .limit(1)
            .with_for_update(of=Letter, skip_locked=True)
        )
    ).one_or_none()
    if row is None:
        return None
    letter, email = row
    return Claimed(
        letter.id,
        letter.agency,
        letter.reader_id,
        Kind(letter.kind),
        letter.language,
        letter.facts,
        letter.due_at,
        letter.attempts,
        letter.recipient or email,
    )


async def subscription_now(session: Session, agency: str, id_: UUID) -> SubscriptionNow | None:
    row = (await session.execute(_SUBSCRIPTION_NOW, {"id": id_, "agency": agency})).one_or_none()
    return SubscriptionNow(*row) if row else None


async def invitation_open(session: Session, agency: str, id_: UUID, now: datetime) -> bool:
    """Whether an invitation may still be accepted."""
    found = await session.scalar(
        text(
            """SELECT EXISTS (SELECT FROM seat_invitation WHERE id = :id AND agency = :agency AND accepted_at IS NULL
                 AND withdrawn_at IS NULL AND expires_at > :now)"""
        ),
        {"id": id_, "agency": agency, "now": now},
    )
    return bool(found)


async def order_now(session: Session, agency: str, id_: UUID) -> OrderNow | None:
    row = (await session.execute(_ORDER_NOW, {"id": id_, "agency": agency})).one_or_none()
    return OrderNow(*row) if row else None


async def mark(
    session: Session, letter: Claimed, state: str, *, now: datetime, next_at: datetime, error: str
) -> None:
    """What became of a try. Nothing happens to a letter that somebody else has finished meanwhile. The last letter to who was erased
    goes with its address, once it is not tried again."""
    if letter.kind is Kind.ERASED and state != "waiting":
        await session.execute(text("DELETE FROM letter WHERE id = :id"), {"id": letter.id})
        return
    await session.execute(
        text(
            """UPDATE letter SET state = :state, attempts = attempts + 1, error = :error,
                      next_attempt_at = greatest(:next, due_at),
                      sent_at = CASE WHEN :state = 'sent' THEN CAST(:now AS timestamptz) END
               WHERE id = :id AND state = 'waiting'"""
        ),
        {
            "id": letter.id,
            "state": state,
            "error": error[:200],
            "now": now,
            "next": next_at,
        },
    )


async def settle_given_up(
    session: Session, ids: Sequence[UUID] | None, state: str, now: datetime
) -> list[tuple[str, UUID]]:
    """Given up ones (all, or these) wait again or are dropped. Returns (agency, id) of each."""
    rows = await session.execute(
        text(
            """UPDATE letter SET state = :state, attempts = 0, next_attempt_at = greatest(:now, due_at)
               WHERE state = 'given_up' AND (CAST(:ids AS uuid[]) IS NULL OR id = ANY(CAST(:ids AS uuid[])))
               RETURNING agency, id"""
        ),
        {"state": state, "now": now, "ids": list(ids) if ids is not None else None},
    )
    return [(row[0], row[1]) for row in rows]


async def listing(session: ReadSession, state: str | None, limit: int) -> Sequence[Letter]:
    """The newest first."""
    query = select(Letter).order_by(col(Letter.created_at).desc()).limit(limit)
    if state is not None:
        query = query.where(col(Letter.state) == state)
    return (await session.scalars(query)).all()


async def sent_before(session: Session, agency: str, key: str) -> bool:
    """Whether a letter was sent."""
    found = await session.scalar(
        text(
            """SELECT EXISTS (SELECT FROM letter
               WHERE agency = :agency AND business_key = :key AND state = 'sent')"""
        ),
        {"agency": agency, "key": key},
    )
    return bool(found)


async def take_back_wishes(
    session: Session, reader_id: UUID, subscription_id: UUID
) -> tuple[Kind, datetime] | None:
    """What waits to be told of whether a subscription renews is dropped; what was told of that last, and when."""
    values = {
        "reader": reader_id,
        "subscription": str(subscription_id),
        "kinds": [Kind.CANCELED, Kind.RESUMED],
    }
    await session.execute(_DROP_WISHES, values)
    told = await session.execute(_WISH_TOLD, values)
    row = told.one_or_none()
    return (Kind(row[0]), row[1]) if row else None


async def withdraw(session: Session, agency: str, key: str) -> None:
    """A letter that waits is dropped."""
    await session.execute(
        text(
            """UPDATE letter SET state = 'dropped'
               WHERE agency = :agency AND business_key = :key AND state IN ('waiting', 'given_up')"""
        ),
        {"agency": agency, "key": key},
    )


async def letters_state(session: ReadSession, now: datetime) -> LettersState:
    row = (
        await session.execute(
            text(
                """SELECT count(*) FILTER (WHERE state = 'waiting'), count(*) FILTER (WHERE state = 'given_up'),
                          min(due_at) FILTER (WHERE state = 'waiting')
                   FROM letter WHERE (state = 'waiting' AND due_at <= :now) OR state = 'given_up'"""
            ),
            {"now": now},
        )
    ).one()
    return LettersState(*row)
