"""What must always be true, checked all the time: by a timer in production, and by the property tests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import text

from services.billing import metrics
from services.billing.invariant import Invariant
from services.billing.invariant import of_agency as _of
from services.billing.invariants_once import BundlesOpenWhatWasPaidFor, ContributionsAreEarned
from services.billing.ledger import rules as books
from services.billing.networks import checks as networks
from services.billing.offers import checks as offers
from services.billing.seats import checks as seats
from shared.clock import Clock
from shared.database import Database
from shared.telemetry.metrics import INVARIANT_VIOLATIONS

_DEFERRED = ",".join(accounts.deferred for accounts in books.STREAMS.values() if accounts.deferred)

#: Of a payment or a refund ``{}``: through a provider, and not by transfer to the agency's own bank account.
_BY_CARD = "{}.provider <> 'transfer'"


class LedgerBalances(Invariant):
    name = "ledger_balances"
    statement = "Every journal entry sums to zero"
    sql = f"""SELECT count(*) FROM (SELECT entry_id FROM journal_line
             WHERE {_of("agency")} AND booked_on >= :since GROUP BY entry_id
             HAVING sum(amount_vnd) <> 0 OR count(*) < 2) AS wrong"""  # noqa: S608 - a constant of ours


class BalancesFollowTheJournal(Invariant):
    name = "balances_follow_the_journal"
    statement = "The running balance of every account and day is the sum of its lines"
    sql = f"""SELECT count(*) FROM
        (SELECT l.agency, l.account, e.currency, l.booked_on,
                coalesce(sum(l.amount_vnd) FILTER (WHERE l.amount_vnd > 0), 0) AS debit_vnd,
                coalesce(-sum(l.amount_vnd) FILTER (WHERE l.amount_vnd < 0), 0) AS credit_vnd
         FROM journal_line l JOIN journal_entry e ON e.id = l.entry_id
         WHERE {_of("l.agency")} AND l.booked_on >= :since GROUP BY 1, 2, 3, 4) AS lines
        FULL JOIN (SELECT * FROM account_day WHERE {_of("agency")} AND booked_on >= :since) AS days
        USING (agency, account, currency, booked_on)
        WHERE (lines.debit_vnd, lines.credit_vnd) IS DISTINCT FROM (days.debit_vnd, days.credit_vnd)"""  # noqa: S608


class DeferredRollsForward(Invariant):
    name = "deferred_rolls_forward"
    statement = (
        "Deferred opening + billed − recognised − reversed = closing, in books and schedules"
    )
    #: A schedule has earned the days whose sums were taken, and those before its first sum; what was cut off is not deferred any more.
    sql = f"""SELECT coalesce(sum(abs(books.amount - plan.amount)), 0) FROM
        (SELECT a.id, coalesce(-sum(d.debit_vnd - d.credit_vnd), 0) AS amount FROM agency a
         LEFT JOIN account_day d ON d.agency = a.id AND d.account = ANY ('{{{_DEFERRED}}}')
         WHERE {_of("a.id")} GROUP BY a.id) AS books
        JOIN (SELECT b.agency AS id,
                     coalesce((SELECT sum(s.total_vnd - s.reversed_vnd - s.carried_vnd - s.total_vnd
                                 * (least(greatest(b.counted_through + 1, s.counted_from),
                                          coalesce(s.closed_on, s.ends_on)) - s.starts_on)
                                 / (s.ends_on - s.starts_on))
                               FROM recognition_schedule s
                               WHERE s.agency = b.agency AND s.ends_on > b.counted_through), 0)
                     + coalesce((SELECT sum(d.amount_vnd) FROM recognition_due d
                                 WHERE d.agency = b.agency), 0) AS amount
              FROM books b WHERE {_of("b.agency")}) AS plan ON plan.id = books.id"""  # noqa: S608 - constants of ours


class BooksKeepTheCalendar(Invariant):
    name = "books_keep_the_calendar"
    statement = "No agency's books have begun a day that is still to come"
    sql = f"""SELECT count(*) FROM books b JOIN agency a ON a.id = b.agency
        WHERE {_of("b.agency")}
              AND b.opened_through > (CAST(:now AS timestamptz) AT TIME ZONE a.time_zone)::date"""  # noqa: S608


class CapturedIsSettled(Invariant):
    name = "captured_is_settled"
    statement = "What cards were charged and not given back is what the provider owes in the books, has paid out, has kept as fees, and has in dispute"
    #: Of a payout that came back the fees stay spent: the provider does not take them again.
    sql = f"""SELECT coalesce(sum(abs(books.amount - facts.amount)), 0) FROM
        (SELECT a.id, coalesce(sum(d.debit_vnd - d.credit_vnd), 0) AS amount FROM agency a
         LEFT JOIN account_day d ON d.agency = a.id AND d.account = '{books.RECEIVABLE}'
         GROUP BY a.id) AS books
        JOIN (SELECT a.id,
                     coalesce((SELECT sum(p.amount_vnd) FROM payment p
                               WHERE p.agency = a.id AND {_BY_CARD.format("p")}), 0)
                     - coalesce((SELECT sum(r.amount_vnd) FROM refund r
                                 WHERE r.agency = a.id AND {_BY_CARD.format("r")} AND r.kind = 'refund'
                                       AND r.failed_at IS NULL), 0)
                     - coalesce((SELECT sum(s.fees_vnd + CASE WHEN s.failed_at IS NULL THEN s.net_vnd ELSE 0 END)
                                 FROM payout_share s WHERE s.agency = a.id), 0)
                     - coalesce((SELECT sum(d.fee_vnd + CASE WHEN d.reinstated_at IS NULL THEN d.amount_vnd ELSE 0 END)
                                 FROM dispute d WHERE d.agency = a.id AND d.withdrawn_at IS NOT NULL), 0) AS amount
              FROM agency a) AS facts
        ON facts.id = books.id WHERE {_of("books.id")}"""  # noqa: S608 - constants of ours


class DisputesAreBooked(Invariant):
    name = "disputes_are_booked"
    statement = "What is in dispute in the books was withdrawn, and neither given back nor lost; it is never less than nothing"
    sql = f"""SELECT coalesce(sum(abs(books.amount - facts.amount) + greatest(-books.amount, 0)), 0) FROM
        (SELECT a.id, coalesce(sum(d.debit_vnd - d.credit_vnd), 0) AS amount FROM agency a
         LEFT JOIN account_day d ON d.agency = a.id AND d.account = '{books.DISPUTED}'
         GROUP BY a.id) AS books
        JOIN (SELECT a.id, coalesce((SELECT sum(d.amount_vnd) FROM dispute d WHERE d.agency = a.id
                                     AND d.withdrawn_at IS NOT NULL AND d.reinstated_at IS NULL), 0)
                     - coalesce((SELECT sum(r.amount_vnd) FROM refund r
                                 WHERE r.agency = a.id AND r.kind = 'dispute' AND r.failed_at IS NULL), 0) AS amount
              FROM agency a) AS facts
        ON facts.id = books.id WHERE {_of("books.id")}"""  # noqa: S608 - constants of ours


class PayoutsAreBooked(Invariant):
    name = "payouts_are_booked"
    statement = "Every share of a payout is the sum of its parts and has its entry, and one that came back has the opposite"
    sql = f"""SELECT count(*) FROM payout_share s
        CROSS JOIN LATERAL (SELECT coalesce(sum(net_vnd), 0) AS net, coalesce(sum(fees_vnd), 0) AS fees
                            FROM payout_part WHERE share_id = s.id) AS parts
        CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE e.kind = 'payout') AS made,
                                   count(*) FILTER (WHERE e.kind = 'payout_failed') AS undone
                            FROM journal_entry e WHERE e.source_id = s.id AND e.agency = s.agency) AS entries
        WHERE {_of("s.agency")}
              AND (parts.net <> s.net_vnd OR parts.fees <> s.fees_vnd
                   OR entries.made <> (s.net_vnd <> 0 OR s.fees_vnd <> 0)::integer
                   OR entries.undone <> (s.failed_at IS NOT NULL AND s.net_vnd <> 0)::integer)"""  # noqa: S608


class RefundsAreBooked(Invariant):
    name = "refunds_are_booked"
    statement = "Every refund has one entry, and one that failed has its reversal"
    sql = f"""SELECT count(*) FROM refund r
        CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE e.kind IN ('refund', 'unclaimed_returned')) AS made,
                                   count(*) FILTER (WHERE e.kind = 'refund_failed' AND e.reverses IS NOT NULL) AS undone
                            FROM journal_entry e WHERE e.source_id = r.id AND e.agency = r.agency) AS entries
        WHERE {_of("r.agency")} AND (entries.made <> 1 OR entries.undone <> (r.failed_at IS NOT NULL)::integer)"""  # noqa: S608


class TransfersAreBooked(Invariant):
    name = "transfers_are_booked"
    statement = "What came into the bank and did not go back is there in the books, with the providers' payouts, and so is what is nobody's, of transfers and of cards"
    sql = f"""SELECT coalesce(sum(abs(books.bank - facts.kept) + abs(books.unallocated - facts.left_over)), 0) FROM
        (SELECT a.id,
                coalesce(sum(d.debit_vnd - d.credit_vnd) FILTER (WHERE d.account = '{books.BANK}'), 0) AS bank,
                coalesce(sum(d.credit_vnd - d.debit_vnd) FILTER (WHERE d.account = '{books.UNALLOCATED}'), 0)
                    AS unallocated
         FROM agency a LEFT JOIN account_day d ON d.agency = a.id GROUP BY a.id) AS books
        JOIN (SELECT a.id,
                     coalesce((SELECT sum(amount_vnd) FROM bank_credit WHERE agency = a.id), 0)
                     - coalesce((SELECT sum(amount_vnd) FROM credit_use
                                 WHERE agency = a.id AND order_id IS NULL), 0)
                     - coalesce((SELECT sum(r.amount_vnd) FROM refund r
                                 WHERE r.agency = a.id AND NOT {_BY_CARD.format("r")} AND r.failed_at IS NULL), 0)
                     + coalesce((SELECT sum(s.net_vnd) FROM payout_share s
                                 WHERE s.agency = a.id AND s.failed_at IS NULL), 0) AS kept,
                     coalesce((SELECT sum(left_vnd) FROM bank_credit WHERE agency = a.id AND left_vnd > 0), 0)
                     + coalesce((SELECT sum(p.amount_vnd - p.refunded_vnd) FROM payment p
                                 WHERE p.agency = a.id AND p.order_id IS NULL), 0) AS left_over
              FROM agency a) AS facts ON facts.id = books.id WHERE {_of("books.id")}"""  # noqa: S608 - constants of ours


class GiftsAreOwed(Invariant):
    name = "gifts_are_owed"
    statement = "What the books owe for gifts is what gifts that were not redeemed were paid with and was not given back, without tax"
    sql = f"""SELECT coalesce(sum(abs(books.amount - facts.amount)), 0) FROM
        (SELECT a.id, coalesce(sum(d.credit_vnd - d.debit_vnd), 0) AS amount FROM agency a
         LEFT JOIN account_day d ON d.agency = a.id AND d.account = '{books.GIFTS}' GROUP BY a.id) AS books
        JOIN (SELECT a.id, coalesce(sum(i.net_vnd - (SELECT coalesce(sum(f.deferred_vnd), 0) FROM refund f
                                                     WHERE f.payment_id = p.id AND f.failed_at IS NULL)), 0) AS amount FROM agency a
              LEFT JOIN (gift g JOIN payment p ON p.order_id = g.order_id AND g.redeemed_at IS NULL
                         JOIN invoice i ON i.payment_id = p.id) ON g.agency = a.id
              GROUP BY a.id) AS facts ON facts.id = books.id WHERE {_of("books.id")}"""  # noqa: S608 - a constant of ours


class OrdersArePaidOnce(Invariant):
    name = "orders_are_paid_once"
    statement = "A paid order has one payment of its amount, made of its transfers where it was paid by transfer; an unpaid one has none"
    sql = f"""SELECT count(*) FROM sales_order o
        LEFT JOIN payment p ON p.order_id = o.id
        LEFT JOIN (SELECT order_id, sum(amount_vnd) AS amount FROM credit_use GROUP BY order_id) u
        ON u.order_id = o.id
        CROSS JOIN LATERAL (SELECT CASE WHEN o.state = 'paid' THEN o.amount_vnd ELSE 0 END AS vnd) AS right_
        WHERE {_of("o.agency")}
              AND (coalesce(p.amount_vnd, 0) <> right_.vnd OR coalesce(u.amount, 0)
                   <> CASE WHEN {_BY_CARD.format("p")} THEN 0 ELSE right_.vnd END)"""  # noqa: S608


class PaidInvoicesHaveEntitlements(Invariant):
    name = "paid_invoices_have_entitlements"
    statement = "Every payment that was not given back has its right to read within a minute"
    sql = f"""SELECT count(*) FROM payment p
        WHERE {_of("p.agency")} AND p.refunded_vnd < greatest(p.amount_vnd, 1) AND p.period_end IS NOT NULL
              AND coalesce(p.cut_at, p.period_end) > p.period_start
              AND NOT EXISTS (SELECT FROM bundle b WHERE b.order_id = p.order_id)
              AND NOT EXISTS (SELECT FROM entitlement e
                  WHERE (e.subscription_id = p.subscription_id OR (p.subscription_id IS NULL AND e.order_id = p.order_id))
                        AND e.valid_from <= p.period_start
                        AND e.valid_until >= coalesce(p.cut_at, p.period_end))"""  # noqa: S608 - a constant of ours


class InboxIsHandled(Invariant):
    name = "inbox_is_handled"
    statement = (
        "Every webhook event is handled or parked within a quarter of an hour of its last try"
    )
    sql = f"""SELECT count(*) FROM webhook_event WHERE {_of("agency")}
        AND state = 'waiting' AND next_attempt_at < CAST(:now AS timestamptz) - interval '15 minutes'"""  # noqa: S608


class RefundsWithinCaptured(Invariant):
    name = "refunds_within_captured"
    statement = "Refunds and lost disputes of a payment, and refunds asked for, never exceed what was captured, add up to what it says, and were paid out"
    #: What was asked for and paid out has its refund, also where it came back afterwards; of a card it may also be given back unasked.
    sql = f"""SELECT count(*) FROM payment p
        LEFT JOIN (SELECT payment_id, sum(amount_vnd) FILTER (WHERE failed_at IS NULL) AS amount,
                          sum(amount_vnd) FILTER (WHERE kind = 'refund') AS sent
                   FROM refund GROUP BY payment_id) r
        ON r.payment_id = p.id
        LEFT JOIN (SELECT payment_id, coalesce(sum(amount_vnd) FILTER (WHERE state = 'paid'), 0) AS paid,
                          coalesce(sum(amount_vnd) FILTER (WHERE state IN ('asked', 'approved')), 0) AS open
                   FROM refund_request WHERE NOT by_card GROUP BY payment_id) q ON q.payment_id = p.id
        WHERE {_of("p.agency")}
              AND (p.refunded_vnd + coalesce(q.open, 0) > p.amount_vnd OR p.refunded_vnd <> coalesce(r.amount, 0)
                   OR (NOT {_BY_CARD.format("p")} AND coalesce(r.sent, 0) <> coalesce(q.paid, 0))
                   OR EXISTS (SELECT FROM refund_request c WHERE c.payment_id = p.id AND c.by_card AND c.state = 'paid'
                              AND NOT EXISTS (SELECT FROM refund f WHERE f.payment_id = p.id AND f.amount_vnd = c.amount_vnd
                                              AND f.provider_refund = c.provider_refund AND f.failed_at IS NULL)))"""  # noqa: S608


class MrrMovementsSum(Invariant):
    name = "mrr_movements_sum"
    statement = "The movements of monthly recurring revenue sum to the monthly recurring revenue"
    sql = f"""SELECT count(*) FROM subscription s
        LEFT JOIN (SELECT subscription_id, sum(amount_vnd) AS amount FROM mrr_movement
                   GROUP BY subscription_id) m ON m.subscription_id = s.id
        WHERE {_of("s.agency")} AND s.mrr_vnd <> coalesce(m.amount, 0)"""  # noqa: S608


class MrrRollsForward(Invariant):
    name = "mrr_rolls_forward"
    statement = "Opening and movements of recurring revenue are the closing of every month: each movement takes up what the one before left, and the last one leaves what the agency's subscriptions stand at"
    sql = f"""SELECT (SELECT count(*) FROM
            (SELECT m.movement, m.amount_vnd, sum(m.amount_vnd) OVER (PARTITION BY m.subscription_id ORDER BY m.version) AS after
             FROM mrr_movement m JOIN subscription s ON s.id = m.subscription_id WHERE {_of("s.agency")}) AS ran
            WHERE after < 0 OR after < amount_vnd OR (after = amount_vnd) <> (movement IN ('new', 'reactivation'))
                  OR (after = 0) <> (movement = 'churn'))
        + (SELECT count(*) FROM agency a
           WHERE {_of("a.id")} AND (SELECT coalesce(sum(s.mrr_vnd), 0) FROM subscription s WHERE s.agency = a.id)
             <> (SELECT coalesce(sum(m.amount_vnd), 0) FROM mrr_movement m JOIN subscription s ON s.id = m.subscription_id
                 WHERE s.agency = a.id))"""  # noqa: S608 - a constant of ours


class PeriodsDoNotOverlap(Invariant):
    name = "periods_do_not_overlap"
    statement = "No two periods that were paid for (net of refunds) of one subscription overlap, but for those a change of plan has cut short"
    sql = f"""SELECT count(*) FROM payment a JOIN payment b
        ON b.subscription_id = a.subscription_id AND b.id > a.id
        AND tstzrange(a.period_start, a.period_end) && tstzrange(b.period_start, b.period_end)
        WHERE {_of("a.agency")}
              AND a.replaced_by IS NULL AND b.replaced_by IS NULL
              AND a.refunded_vnd < greatest(a.amount_vnd, 1) AND b.refunded_vnd < greatest(b.amount_vnd, 1)"""  # noqa: S608


class InvoicesAreNumberedWithoutGaps(Invariant):
    name = "invoices_are_numbered_without_gaps"
    statement = "The numbers of an agency's invoices follow one another without a gap"
    #: From the first number of the days that are read to the last one of the series; what is before was read on its days.
    sql = f"""SELECT count(*) FROM invoice_series s
        CROSS JOIN LATERAL (SELECT coalesce(min(number), s.last_number) AS lowest FROM invoice i
                            WHERE i.agency = s.agency AND i.series = s.series AND i.issued_on >= :since) AS read
        CROSS JOIN LATERAL (SELECT count(*) AS found, max(number) AS highest FROM invoice i
                            WHERE i.agency = s.agency AND i.series = s.series
                              AND i.number >= read.lowest - 1) AS numbers
        WHERE {_of("s.agency")} AND (numbers.highest IS DISTINCT FROM s.last_number
              OR numbers.found <> s.last_number - greatest(read.lowest - 1, 1) + 1)"""  # noqa: S608


class PaymentsHaveInvoices(Invariant):
    name = "payments_have_invoices"
    statement = "Every payment of an order has its invoice"
    sql = f"""SELECT count(*) FROM payment p WHERE {_of("p.agency")} AND p.amount_vnd > 0 AND p.order_id IS NOT NULL AND p.paid_at >= CAST(:since AS date)
        AND NOT EXISTS (SELECT FROM invoice i WHERE i.payment_id = p.id)"""  # noqa: S608


ALL: tuple[Invariant, ...] = (
    LedgerBalances(),
    BalancesFollowTheJournal(),
    DeferredRollsForward(),
    BooksKeepTheCalendar(),
    CapturedIsSettled(),
    DisputesAreBooked(),
    PayoutsAreBooked(),
    RefundsAreBooked(),
    TransfersAreBooked(),
    GiftsAreOwed(),
    OrdersArePaidOnce(),
    PaidInvoicesHaveEntitlements(),
    BundlesOpenWhatWasPaidFor(),
    ContributionsAreEarned(),
    InboxIsHandled(),
    RefundsWithinCaptured(),
    MrrMovementsSum(),
    MrrRollsForward(),
    PeriodsDoNotOverlap(),
    InvoicesAreNumberedWithoutGaps(),
    PaymentsHaveInvoices(),
    seats.SeatsArePaidFor(),
    seats.MembersReadAsTheirOwners(),
    networks.NetworksAreToldAndEnd(),
    offers.OffersAreCounted(),
)


#: Those that read the journal itself or all invoices, and how far back they do between two readings of all of it.
OF_THE_JOURNAL = frozenset(
    {
        LedgerBalances.name,
        BalancesFollowTheJournal.name,
        InvoicesAreNumberedWithoutGaps.name,
        PaymentsHaveInvoices.name,
    }
)
LATELY = timedelta(days=40)
BEGINNING = date(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class Finding:
    """The state of one invariant; ``violations`` 0 is right."""

    name: str
    statement: str
    violations: int


class Invariants:
    """Checks them all on one consistent snapshot."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._whole: dict[str, int] = {}
        self._whole_on: date | None = None

    async def check(self, agency: str | None = None, *, whole: bool = True) -> list[Finding]:
        """Over one agency's rows, or over everything; of the journal all of it, or what was booked lately."""
        now = self._clock.now()
        since = BEGINNING if whole else now.date() - LATELY
        async with self._database.read() as session:
            return [
                Finding(one.name, one.statement, await one.violations(session, now, agency, since))
                for one in ALL
            ]

    async def export(self) -> None:
        """Set the gauges. The whole journal is read once a day; what it said stands until it is read again."""
        today = self._clock.now().date()
        if self._whole_on != today:
            self._whole = {one.name: one.violations for one in await self.check()}
            self._whole_on = today
        for finding in await self.check(whole=False):
            most = max(
                finding.violations,
                self._whole[finding.name] if finding.name in OF_THE_JOURNAL else 0,
            )
            INVARIANT_VIOLATIONS.labels("billing", finding.name).set(most)
        async with self._database.read() as session:
            rows = await session.execute(
                text(
                    """SELECT a.id, coalesce(sum(abs(e.off)), 0) FROM agency a
                       LEFT JOIN (SELECT agency, sum(amount_vnd) AS off FROM journal_line
                                  WHERE booked_on >= :since
                                  GROUP BY agency, entry_id HAVING sum(amount_vnd) <> 0) AS e
                         ON e.agency = a.id
                       GROUP BY a.id"""
                ),
                {"since": today - LATELY},
            )
            for agency, amount in rows:
                metrics.LEDGER_IMBALANCE.labels(agency).set(int(amount))
