"""What must always be true of the books themselves."""

from __future__ import annotations

from services.billing.invariants.invariant import DEFERRED, Invariant, Scope

_DEFERRED = ", ".join(f"'{account}'" for account in DEFERRED)


class LedgerBalances(Invariant):
    """The violations are the đồng by which entries are off."""

    name = "ledger_balances"
    statement = "Every journal entry sums to zero"

    def sql(self, of: Scope) -> str:
        return f"""SELECT min(agency), entry_id::text, greatest(abs(sum(amount_vnd)), 1) FROM journal_line
            WHERE {of.entries("entry_id")} GROUP BY entry_id
            HAVING sum(amount_vnd) <> 0 OR count(*) < 2"""  # noqa: S608 - a condition of ours


class BalancesFollowTheJournal(Invariant):
    """Of changes: every account and day that an entry came to, with all lines of that day."""

    name = "balances_follow_the_journal"
    statement = "The running balance of every account and day is the sum of its lines"

    def sql(self, of: Scope) -> str:
        return f"""SELECT agency, account || ' ' || booked_on, count(*) FROM
            (SELECT l.agency, l.account, e.currency, l.booked_on,
                    coalesce(sum(l.amount_vnd) FILTER (WHERE l.amount_vnd > 0), 0) AS debit_vnd,
                    coalesce(-sum(l.amount_vnd) FILTER (WHERE l.amount_vnd < 0), 0) AS credit_vnd
             FROM journal_line l JOIN journal_entry e ON e.id = l.entry_id WHERE {of.days("l")} GROUP BY 1, 2, 3, 4) AS lines
            FULL JOIN (SELECT d.* FROM account_day d WHERE {of.days("d")}) AS days
            USING (agency, account, currency, booked_on)
            WHERE (lines.debit_vnd, lines.credit_vnd) IS DISTINCT FROM (days.debit_vnd, days.credit_vnd)
            GROUP BY agency, account, booked_on"""  # noqa: S608 - conditions of ours


class DeferredRollsForward(Invariant):
    """Of changes: what the payments and refunds of a reader's plans put into the deferred accounts is what their schedules had to earn and did
    not give back, and a day of recognition took out what it says. Whether a day's sum is that of all schedules needs all of them: that, and what
    is due and not booked, is in the agency's sum, which is read at night."""

    name = "deferred_rolls_forward"
    statement = (
        "Deferred opening + billed − recognised − reversed = closing, in books and schedules"
    )
    #: A schedule has earned the days whose sums were taken, and those before its first sum; what was cut off is not deferred any more.
    sums = f"""SELECT books.id, '', abs(books.amount - plan.amount) FROM
        (SELECT a.id, coalesce(-sum(d.debit_vnd - d.credit_vnd), 0) AS amount FROM agency a
         LEFT JOIN account_day d ON d.agency = a.id AND d.account IN ({_DEFERRED})
         GROUP BY a.id) AS books
        JOIN (SELECT b.agency AS id,
                     coalesce((SELECT sum(s.total_vnd - s.reversed_vnd - s.carried_vnd - s.total_vnd
                                 * (least(greatest(b.counted_through + 1, s.counted_from),
                                          coalesce(s.closed_on, s.ends_on)) - s.starts_on)
                                 / (s.ends_on - s.starts_on))
                               FROM recognition_schedule s
                               WHERE s.agency = b.agency AND s.ends_on > b.counted_through), 0)
                     + coalesce((SELECT sum(d.amount_vnd) FROM recognition_due d
                                 WHERE d.agency = b.agency), 0) AS amount
              FROM books b) AS plan ON plan.id = books.id WHERE books.amount <> plan.amount"""  # noqa: S608 - constants of ours

    def sql(self, of: Scope) -> str:
        # All that was paid for one reader's subscriptions together, also by who gave it: a change earns what was left of it.
        return f"""WITH owner AS MATERIALIZED (
                SELECT DISTINCT coalesce(s.reader_id, p.reader_id) AS id FROM payment p
                LEFT JOIN subscription s ON s.id = p.subscription_id WHERE {of.readers("p.reader_id")}),
            paid AS MATERIALIZED (
                SELECT p.id, p.agency, o.id AS owner FROM owner o JOIN subscription s ON s.reader_id = o.id
                JOIN payment p ON p.subscription_id = s.id
                UNION SELECT p.id, p.agency, o.id FROM owner o JOIN payment p ON p.reader_id = o.id
                LEFT JOIN subscription s ON s.id = p.subscription_id WHERE s.id IS NULL OR s.reader_id = o.id),
            source AS (SELECT id, agency, owner FROM paid
                UNION ALL SELECT r.id, p.agency, p.owner FROM paid p JOIN refund r ON r.payment_id = p.id)
            SELECT agency, owner::text, abs(sum(vnd)) FROM
                (SELECT p.agency, p.owner, s.total_vnd - s.reversed_vnd - s.carried_vnd AS vnd
                 FROM paid p JOIN recognition_schedule s ON s.payment_id = p.id
                 UNION ALL SELECT f.agency, f.owner, l.amount_vnd FROM source f
                 JOIN journal_entry e ON e.source_id = f.id AND e.agency = f.agency
                 JOIN journal_line l ON l.entry_id = e.id AND l.account IN ({_DEFERRED})) AS all_of_it
            GROUP BY agency, owner HAVING sum(vnd) <> 0
            UNION ALL SELECT d.agency, d.id::text, abs(d.amount_vnd - taken.vnd) FROM recognition_day d
            CROSS JOIN LATERAL (SELECT coalesce(sum(l.amount_vnd), 0) AS vnd FROM journal_entry e
                                JOIN journal_line l ON l.entry_id = e.id AND l.account IN ({_DEFERRED})
                                WHERE e.source_id = d.id AND e.agency = d.agency) AS taken
            WHERE {of.recognised("d.id")} AND d.amount_vnd <> taken.vnd"""  # noqa: S608 - conditions of ours


class BooksKeepTheCalendar(Invariant):
    name = "books_keep_the_calendar"
    statement = "No agency's books have begun a day that is still to come"
    always_whole = True

    def sql(self, of: Scope) -> str:
        return """SELECT b.agency, '', 1 FROM books b JOIN agency a ON a.id = b.agency
            WHERE b.opened_through > (CAST(:now AS timestamptz) AT TIME ZONE a.time_zone)::date"""


class InvoicesAreNumberedWithoutGaps(Invariant):
    """Of changes: from the first number that is new to the last one of the series; a series that had a gap, from its beginning."""

    name = "invoices_are_numbered_without_gaps"
    statement = "The numbers of an agency's invoices follow one another without a gap"

    def sql(self, of: Scope) -> str:
        lowest = (
            "SELECT 1 AS lowest"
            if of.whole
            else """SELECT CASE WHEN s.agency || ' ' || s.series = ANY (CAST(:named AS text[])) THEN 1
                ELSE coalesce((SELECT min(number) FROM (SELECT number FROM invoice WHERE id >= :floor AND agency = s.agency AND series = s.series
                                                               OFFSET 0) AS new), s.last_number) END AS lowest"""
        )
        return f"""SELECT s.agency, s.agency || ' ' || s.series, 1 FROM invoice_series s
            CROSS JOIN LATERAL ({lowest}) AS read
            CROSS JOIN LATERAL (SELECT count(*) AS found, max(number) AS highest FROM invoice i
                                WHERE i.agency = s.agency AND i.series = s.series
                                  AND i.number >= read.lowest - 1) AS numbers
            WHERE numbers.highest IS DISTINCT FROM s.last_number
                  OR numbers.found <> s.last_number - greatest(read.lowest - 1, 1) + 1"""  # noqa: S608 - constants of ours


class PaymentsHaveInvoices(Invariant):
    name = "payments_have_invoices"
    statement = "Every payment of an order has its invoice"

    def sql(self, of: Scope) -> str:
        return f"""SELECT p.agency, p.reader_id::text, count(*) FROM payment p
            WHERE {of.readers("p.reader_id")} AND p.amount_vnd > 0 AND p.order_id IS NOT NULL
                  AND NOT EXISTS (SELECT FROM invoice i WHERE i.payment_id = p.id) GROUP BY 1, 2"""  # noqa: S608 - a condition of ours
