"""Every SQL statement of the reader-revenue metrics. All of them read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import text

from services.billing.insight import rules
from services.billing.insight.rules import Churn, Dunning, Followed, Month, Paid, Recurring
from shared.database import ReadSession

#: A movement counts on its day, but not before the one that it follows: money may become known after the subscription was over.
_MOVED = """moved AS (SELECT m.id, m.subscription_id, m.movement, m.amount_vnd, m.occurred_on, s.reader_id, s.collection,
            max(m.occurred_on) OVER (PARTITION BY m.subscription_id ORDER BY m.version) AS day
        FROM subscription s JOIN mrr_movement m ON m.subscription_id = s.id WHERE s.agency = :agency)"""
#: Periods and passes that money was paid for, and whose they are: of a gift whoever redeemed it, since then.
_PAID = """paid AS (SELECT p.id, coalesce(s.reader_id, p.reader_id) AS reader_id, p.subscription_id, s.collection, p.amount_vnd, p.paid_at,
            coalesce(g.redeemed_at, p.paid_at) AS known_at, p.period_start AS starts_at,
            coalesce(p.cut_at, p.period_end) AS ends_at, p.cut_at IS NOT NULL AS cut, o.gift
        FROM payment p JOIN sales_order o ON o.id = p.order_id
        JOIN plan_price pp ON pp.id = o.price_id JOIN plan l ON l.id = pp.plan_id
        LEFT JOIN subscription s ON s.id = p.subscription_id LEFT JOIN gift g ON g.order_id = p.order_id
        WHERE p.agency = :agency AND p.amount_vnd > 0 AND p.period_start IS NOT NULL AND l.kind IN ('period', 'pass'))"""


def _kept(payment: str, at: str) -> str:
    """Whether a payment had not been given back whole at a moment."""
    return f"""{payment}.amount_vnd > (SELECT coalesce(sum(f.amount_vnd), 0) FROM refund f WHERE f.payment_id = {payment}.id
        AND f.refunded_at < {at} AND (f.failed_at IS NULL OR f.failed_at >= {at}))"""  # noqa: S608 - constants of ours


def _runs(at: str) -> str:
    """Whether a paid period was running at the last instant before a moment, and kept."""
    return f"""paid.known_at < {at} AND paid.starts_at < {at} AND paid.ends_at >= {at} AND {_kept("paid", at)}"""


#: A subscription's state at the last instant before a moment.
_STATE = """(SELECT t.to_state FROM subscription_transition t WHERE t.subscription_id = {of} AND t.at < :until
    ORDER BY t.id DESC LIMIT 1)"""

_RECURRING = text(
    f"""WITH {_MOVED}, standing AS (
            SELECT subscription_id, collection, sum(amount_vnd) AS vnd FROM moved WHERE day <= :last GROUP BY 1, 2)
        SELECT (SELECT coalesce(sum(amount_vnd), 0) FROM moved WHERE day < :first),
               coalesce(sum(vnd), 0),
               coalesce(sum(vnd) FILTER (WHERE collection = 'renewal'
                   AND {_STATE.format(of="standing.subscription_id")} = 'ending'), 0),
               coalesce(sum(vnd) FILTER (WHERE collection = 'term'), 0) FROM standing"""  # noqa: S608 - constants of ours
)
_BY_MOVEMENT = text(
    f"""WITH {_MOVED} SELECT movement, sum(amount_vnd) FROM moved WHERE day BETWEEN :first AND :last GROUP BY 1"""  # noqa: S608
)
_ACTIVE = text(
    f"""WITH {_PAID}, running AS (
            SELECT reader_id, max(CASE WHEN subscription_id IS NULL THEN 0 WHEN collection = 'term' THEN 1
                WHEN {_STATE.format(of="paid.subscription_id")} IN ('ending', 'canceled', 'expired') THEN 2 ELSE 3 END) AS rank
            FROM paid WHERE {_runs(":until")} GROUP BY 1)
        SELECT count(*) FILTER (WHERE rank = 3), count(*) FILTER (WHERE rank = 2), count(*) FILTER (WHERE rank = 1),
               count(*) FILTER (WHERE rank = 0) FROM running"""  # noqa: S608 - constants of ours
)
_RENEWALS = text(
    f"""WITH {_PAID}, ended AS (SELECT id, reader_id, collection, ends_at, ends_at + CAST(:within AS interval) AS late FROM paid
            WHERE subscription_id IS NOT NULL AND NOT cut AND ends_at >= :starts AND ends_at < :until AND {_kept("paid", "ends_at")}),
        followed AS (SELECT DISTINCT ended.id FROM ended JOIN paid n ON n.reader_id = ended.reader_id
            WHERE n.id <> ended.id AND n.subscription_id IS NOT NULL AND n.known_at < ended.late AND n.ends_at > ended.ends_at
              AND {_kept("n", "ended.late")})
        SELECT ended.collection, count(*), count(followed.id) FROM ended LEFT JOIN followed USING (id) GROUP BY 1"""  # noqa: S608
)
#: The state that ended it is the one of that day; a period that had not ended was given back.
_LOST = f"""lost AS (SELECT moved.id, moved.reader_id, moved.amount_vnd, moved.day, CASE
            WHEN gone.to_state = 'paused' THEN 'paused'
            WHEN gone.to_state IS NULL OR EXISTS (SELECT FROM payment p WHERE p.subscription_id = moved.subscription_id
                AND p.amount_vnd > 0 AND p.period_start <= gone.at AND coalesce(p.cut_at, p.period_end) > gone.at) THEN 'returned'
            WHEN gone.to_state = 'canceled' THEN 'canceled'
            WHEN moved.collection = 'term' THEN 'lapsed' ELSE 'unpaid' END AS reason
        FROM moved LEFT JOIN LATERAL (
            SELECT t.to_state, t.at FROM subscription_transition t WHERE t.subscription_id = moved.subscription_id
              AND (t.at AT TIME ZONE :zone)::date = moved.occurred_on
              AND t.to_state <> ALL (CAST('{{{",".join(rules.PAYING_STATES)}}}' AS text[]))
            ORDER BY t.id DESC LIMIT 1) AS gone ON true
        WHERE moved.movement = 'churn' AND moved.day BETWEEN :first AND :last)"""  # noqa: S608 - constants of ours
_LOST_VND = text(
    f"WITH {_MOVED}, {_LOST} SELECT reason, -sum(amount_vnd) FROM lost GROUP BY 1"  # noqa: S608
)
_LOST_READERS = text(
    f"""WITH {_MOVED}, {_LOST}, stood AS (
            SELECT reader_id, coalesce(sum(amount_vnd) FILTER (WHERE day < :first), 0) AS opening, sum(amount_vnd) AS closing
            FROM moved WHERE day <= :last GROUP BY 1)
        SELECT NULL AS reason, count(*) FROM stood WHERE opening > 0
        UNION ALL SELECT why.reason, count(*) FROM stood
            JOIN (SELECT DISTINCT ON (reader_id) reader_id, reason FROM lost ORDER BY reader_id, day DESC, id DESC) AS why
                USING (reader_id) WHERE opening > 0 AND closing = 0 GROUP BY 1"""  # noqa: S608 - constants of ours
)
_TRIALS = text(
    f"""WITH {_PAID}, tried AS (SELECT id, reader_id, period_start AS starts_at, coalesce(cut_at, period_end) AS ends_at FROM payment
            WHERE agency = :agency AND provider = 'trial'),
        converted AS (SELECT DISTINCT tried.id FROM tried JOIN paid USING (reader_id)
            WHERE NOT paid.gift AND paid.paid_at >= tried.starts_at AND paid.paid_at < tried.ends_at + CAST(:within AS interval))
        SELECT count(*), count(converted.id) FROM tried LEFT JOIN converted USING (id)
        WHERE tried.ends_at >= :starts AND tried.ends_at < :until"""  # noqa: S608 - constants of ours
)
_DUNNING = text(
    """SELECT count(*) FILTER (WHERE o.state = 'paid' AND p.paid_at >= :starts AND p.paid_at < :until),
              coalesce(sum(o.amount_vnd) FILTER (WHERE o.state = 'paid' AND p.paid_at >= :starts AND p.paid_at < :until), 0),
              count(*) FILTER (WHERE o.state = 'closed' AND o.expires_at >= :starts AND o.expires_at < :until),
              coalesce(sum(o.amount_vnd) FILTER (WHERE o.state = 'closed' AND o.expires_at >= :starts AND o.expires_at < :until), 0)
       FROM sales_order o LEFT JOIN payment p ON p.order_id = o.id
       WHERE o.agency = :agency AND o.purpose = 'renewal' AND o.tries > 0"""
)
_COHORTS = text(
    f"""WITH {_PAID}, begun AS (
            SELECT reader_id, date_trunc('month', min(paid_at) AT TIME ZONE :zone)::date AS month
            FROM paid WHERE NOT gift AND paid_at < :until GROUP BY 1),
        looked AS (SELECT * FROM unnest(CAST(:months AS date[]), CAST(:ends AS timestamptz[])) AS l(month, at)),
        active AS (SELECT DISTINCT looked.month, paid.reader_id FROM looked JOIN paid ON {_runs("looked.at")})
        SELECT begun.month, CAST(NULL AS date), count(*) FROM begun WHERE begun.month = ANY (CAST(:months AS date[])) GROUP BY 1
        UNION ALL SELECT begun.month, active.month, count(*) FROM begun JOIN active USING (reader_id)
            WHERE begun.month = ANY (CAST(:months AS date[])) AND active.month > begun.month GROUP BY 1, 2"""  # noqa: S608
)


def _of(month: Month) -> dict[str, object]:
    return {"first": month.first, "last": month.last}


async def recurring(session: ReadSession, agency: str, month: Month) -> Recurring:
    values = {"agency": agency, **_of(month)}
    moved = {row[0]: int(row[1]) for row in await session.execute(_BY_MOVEMENT, values)}
    row = (await session.execute(_RECURRING, {**values, "until": month.until})).one()
    opening, closing, ending, prepaid = (int(one) for one in row)
    return Recurring(
        opening,
        {name: moved.get(name, 0) for name in rules.MOVEMENTS},
        closing,
        ending,
        prepaid,
    )


async def active(session: ReadSession, agency: str, until: datetime) -> Paid:
    """Active paid readers at the last instant before ``until``."""
    row = (await session.execute(_ACTIVE, {"agency": agency, "until": until})).one()
    return Paid(*row)


async def renewals(
    session: ReadSession, agency: str, month: Month, within: timedelta
) -> dict[str, Followed]:
    """By the way they were sold: periods that ended in the month, and those whose reader had the next one paid in time."""
    rows = await session.execute(
        _RENEWALS,
        {"agency": agency, "starts": month.starts_at, "until": month.until, "within": within},
    )
    found = {row[0]: Followed(row[1], row[2]) for row in rows}
    return {way: found.get(way, Followed()) for way in rules.WAYS}


async def churn(
    session: ReadSession, agency: str, month: Month, zone: str, opening_vnd: int
) -> Churn:
    values = {"agency": agency, "zone": zone, **_of(month)}
    lost_vnd = {row[0]: int(row[1]) for row in await session.execute(_LOST_VND, values)}
    readers = {row[0]: row[1] for row in await session.execute(_LOST_READERS, values)}
    return Churn(
        readers.get(None, 0),
        opening_vnd,
        {one: readers.get(one, 0) for one in rules.REASONS},
        {one: lost_vnd.get(one, 0) for one in rules.REASONS},
    )


async def trials(session: ReadSession, agency: str, month: Month, within: timedelta) -> Followed:
    """Trials that ended in the month, and those whose reader paid in time."""
    row = (
        await session.execute(
            _TRIALS,
            {"agency": agency, "starts": month.starts_at, "until": month.until, "within": within},
        )
    ).one()
    return Followed(*row)


async def dunning(session: ReadSession, agency: str, month: Month) -> Dunning:
    row = (
        await session.execute(
            _DUNNING, {"agency": agency, "starts": month.starts_at, "until": month.until}
        )
    ).one()
    return Dunning(*(int(one) for one in row))


async def cohorts(
    session: ReadSession, agency: str, zone: str, ends: Sequence[tuple[date, datetime]]
) -> tuple[Mapping[date, int], Mapping[tuple[date, date], int]]:
    """How many readers first paid in each month; of them, how many were paying at the end of each later one."""
    rows = await session.execute(
        _COHORTS,
        {
            "agency": agency,
            "zone": zone,
            "until": ends[-1][1],
            "months": [first for first, _ in ends],
            "ends": [at for _, at in ends],
        },
    )
    sizes: dict[date, int] = {}
    paying: dict[tuple[date, date], int] = {}
    for first, at, readers in rows:
        if at is None:
            sizes[first] = readers
        else:
            paying[first, at] = readers
    return sizes, paying


async def standing(session: ReadSession) -> list[tuple[str, int, int]]:
    """(agency, recurring revenue, of it what will not renew) of every agency now."""
    rows = await session.execute(
        text(
            """SELECT a.id, coalesce(sum(s.mrr_vnd), 0), coalesce(sum(s.mrr_vnd) FILTER (WHERE s.state = 'ending'), 0)
               FROM agency a LEFT JOIN subscription s ON s.agency = a.id AND s.mrr_vnd > 0 GROUP BY a.id ORDER BY a.id"""
        )
    )
    return [(row[0], int(row[1]), int(row[2])) for row in rows]
