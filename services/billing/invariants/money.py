"""What must always be true of money that was told of, and of the books: fact by fact, and in sum."""

from __future__ import annotations

from services.billing.invariants.invariant import BY_CARD, Invariant, Scope, balance, booked
from services.billing.ledger import rules as books


def _of_shares(account: str, expected: str, of: Scope) -> str:
    """What each share of a payout (``s``) moved an account by is what it should."""
    return f"""SELECT s.agency, s.id::text AS subject, abs(moved.vnd - ({expected})) AS vnd FROM payout_share s
        CROSS JOIN LATERAL (SELECT coalesce(sum(l.amount_vnd), 0) AS vnd FROM journal_entry e
                            JOIN journal_line l ON l.entry_id = e.id AND l.account = '{account}'
                            WHERE e.source_id = s.id AND e.agency = s.agency) AS moved
        WHERE {of.shares("s.id")} AND moved.vnd <> {expected}"""  # noqa: S608 - constants of ours


class CapturedIsSettled(Invariant):
    """Of changes: of each reader, and of each share of a payout, what facts say and what their own entries moved."""

    name = "captured_is_settled"
    statement = "What cards were charged and not given back is what the provider owes in the books, has paid out, has kept as fees, and has in dispute"
    #: Of a payout that came back the fees stay spent: the provider does not take them again.
    sums = f"""SELECT books.id, '', abs(books.amount - facts.amount) FROM ({balance(books.RECEIVABLE)}) AS books
        JOIN (SELECT a.id,
                     coalesce((SELECT sum(p.amount_vnd) FROM payment p
                               WHERE p.agency = a.id AND {BY_CARD.format("p")}), 0)
                     - coalesce((SELECT sum(r.amount_vnd) FROM refund r
                                 WHERE r.agency = a.id AND {BY_CARD.format("r")} AND r.kind = 'refund'
                                       AND r.failed_at IS NULL), 0)
                     - coalesce((SELECT sum(s.fees_vnd + CASE WHEN s.failed_at IS NULL THEN s.net_vnd ELSE 0 END)
                                 FROM payout_share s WHERE s.agency = a.id), 0)
                     - coalesce((SELECT sum(d.fee_vnd + CASE WHEN d.reinstated_at IS NULL THEN d.amount_vnd ELSE 0 END)
                                 FROM dispute d WHERE d.agency = a.id AND d.withdrawn_at IS NOT NULL), 0) AS amount
              FROM agency a) AS facts
        ON facts.id = books.id WHERE books.amount <> facts.amount"""  # noqa: S608 - constants of ours

    def sql(self, of: Scope) -> str:
        readers = of.readers("p.reader_id")
        shares = _of_shares(
            books.RECEIVABLE,
            "- s.fees_vnd - CASE WHEN s.failed_at IS NULL THEN s.net_vnd ELSE 0 END",
            of,
        )
        return f"""SELECT agency, reader_id::text, abs(sum(vnd)) FROM
            (SELECT p.agency, p.reader_id, - p.amount_vnd AS vnd FROM payment p WHERE {readers} AND {BY_CARD.format("p")}
             UNION ALL SELECT p.agency, p.reader_id, r.amount_vnd FROM payment p JOIN refund r ON r.payment_id = p.id
             WHERE {readers} AND {BY_CARD.format("r")} AND r.kind = 'refund' AND r.failed_at IS NULL
             UNION ALL SELECT p.agency, p.reader_id, d.fee_vnd + CASE WHEN d.reinstated_at IS NULL THEN d.amount_vnd ELSE 0 END
             FROM payment p JOIN dispute d ON d.payment_id = p.id WHERE {readers} AND d.withdrawn_at IS NOT NULL
             UNION ALL {booked(of, [books.RECEIVABLE], "payment", "refund", "dispute")}) AS all_of_it
            GROUP BY agency, reader_id HAVING sum(vnd) <> 0 UNION ALL {shares}"""  # noqa: S608 - conditions of ours


class DisputesAreBooked(Invariant):
    """Of changes: of each reader what facts say and what their own entries moved."""

    name = "disputes_are_booked"
    statement = "What is in dispute in the books was withdrawn, and neither given back nor lost; it is never less than nothing"
    sums = f"""SELECT books.id, '', abs(books.amount - facts.amount) + greatest(-books.amount, 0)
        FROM ({balance(books.DISPUTED)}) AS books
        JOIN (SELECT a.id, coalesce((SELECT sum(d.amount_vnd) FROM dispute d WHERE d.agency = a.id
                                     AND d.withdrawn_at IS NOT NULL AND d.reinstated_at IS NULL), 0)
                     - coalesce((SELECT sum(r.amount_vnd) FROM refund r
                                 WHERE r.agency = a.id AND r.kind = 'dispute' AND r.failed_at IS NULL), 0) AS amount
              FROM agency a) AS facts
        ON facts.id = books.id WHERE books.amount <> facts.amount OR books.amount < 0"""  # noqa: S608 - constants of ours

    def sql(self, of: Scope) -> str:
        readers = of.readers("p.reader_id")
        return f"""SELECT agency, reader_id::text, abs(sum(vnd - facts)) + greatest(-sum(vnd), 0) FROM
            (SELECT p.agency, p.reader_id, d.amount_vnd AS facts, 0 AS vnd FROM payment p JOIN dispute d ON d.payment_id = p.id
             WHERE {readers} AND d.withdrawn_at IS NOT NULL AND d.reinstated_at IS NULL
             UNION ALL SELECT p.agency, p.reader_id, - r.amount_vnd, 0 FROM payment p JOIN refund r ON r.payment_id = p.id
             WHERE {readers} AND r.kind = 'dispute' AND r.failed_at IS NULL
             UNION ALL SELECT agency, reader_id, 0, vnd FROM ({booked(of, [books.DISPUTED], "refund", "dispute")}) AS lines) AS all_of_it
            GROUP BY agency, reader_id HAVING sum(vnd) <> sum(facts) OR sum(vnd) < 0"""  # noqa: S608 - conditions of ours


class PayoutsAreBooked(Invariant):
    name = "payouts_are_booked"
    statement = "Every share of a payout is the sum of its parts and has its entry, and one that came back has the opposite"

    def sql(self, of: Scope) -> str:
        return f"""SELECT s.agency, s.id::text, 1 FROM payout_share s
            CROSS JOIN LATERAL (SELECT coalesce(sum(net_vnd), 0) AS net, coalesce(sum(fees_vnd), 0) AS fees
                                FROM payout_part WHERE share_id = s.id) AS parts
            CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE e.kind = 'payout') AS made,
                                       count(*) FILTER (WHERE e.kind = 'payout_failed') AS undone
                                FROM journal_entry e WHERE e.source_id = s.id AND e.agency = s.agency) AS entries
            WHERE {of.shares("s.id")}
                  AND (parts.net <> s.net_vnd OR parts.fees <> s.fees_vnd
                       OR entries.made <> (s.net_vnd <> 0 OR s.fees_vnd <> 0)::integer
                       OR entries.undone <> (s.failed_at IS NOT NULL AND s.net_vnd <> 0)::integer)"""  # noqa: S608 - a condition of ours


class RefundsAreBooked(Invariant):
    name = "refunds_are_booked"
    statement = "Every refund has one entry, and one that failed has its reversal"

    def sql(self, of: Scope) -> str:
        return f"""SELECT p.agency, p.reader_id::text, count(*) FROM payment p JOIN refund r ON r.payment_id = p.id
            CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE e.kind IN ('refund', 'unclaimed_returned')) AS made,
                                       count(*) FILTER (WHERE e.kind = 'refund_failed' AND e.reverses IS NOT NULL) AS undone
                                FROM journal_entry e WHERE e.source_id = r.id AND e.agency = r.agency) AS entries
            WHERE {of.readers("p.reader_id")} AND (entries.made <> 1 OR entries.undone <> (r.failed_at IS NOT NULL)::integer)
            GROUP BY 1, 2"""  # noqa: S608 - a condition of ours


class TransfersAreBooked(Invariant):
    """Of changes: each credit that came or was used, each share of a payout, and what each reader's payments and refunds moved."""

    name = "transfers_are_booked"
    statement = "What came into the bank and did not go back is there in the books, with the providers' payouts, and so is what is nobody's, of transfers and of cards"
    sums = f"""SELECT bank.id, '', abs(bank.amount - facts.kept) + abs(unallocated.amount + facts.left_over)
        FROM ({balance(books.BANK)}) AS bank JOIN ({balance(books.UNALLOCATED)}) AS unallocated ON unallocated.id = bank.id
        JOIN (SELECT a.id,
                     coalesce((SELECT sum(amount_vnd) FROM bank_credit WHERE agency = a.id), 0)
                     - coalesce((SELECT sum(amount_vnd) FROM credit_use
                                 WHERE agency = a.id AND order_id IS NULL), 0)
                     - coalesce((SELECT sum(r.amount_vnd) FROM refund r
                                 WHERE r.agency = a.id AND NOT {BY_CARD.format("r")} AND r.failed_at IS NULL), 0)
                     + coalesce((SELECT sum(s.net_vnd) FROM payout_share s
                                 WHERE s.agency = a.id AND s.failed_at IS NULL), 0) AS kept,
                     coalesce((SELECT sum(left_vnd) FROM bank_credit WHERE agency = a.id AND left_vnd > 0), 0)
                     + coalesce((SELECT sum(p.amount_vnd - p.refunded_vnd) FROM payment p
                                 WHERE p.agency = a.id AND p.order_id IS NULL), 0) AS left_over
              FROM agency a) AS facts ON facts.id = bank.id
        WHERE bank.amount <> facts.kept OR unallocated.amount <> - facts.left_over"""  # noqa: S608 - constants of ours

    def sql(self, of: Scope) -> str:
        readers = of.readers("p.reader_id")
        shares = _of_shares(
            books.BANK, "CASE WHEN s.failed_at IS NULL THEN s.net_vnd ELSE 0 END", of
        )
        lines = " UNION ALL ".join(
            f"SELECT agency, reader_id, '{account}', vnd FROM ({booked(of, [account], 'payment', 'refund')}) AS lines"  # noqa: S608
            for account in (books.BANK, books.UNALLOCATED)
        )
        return f"""SELECT c.agency, c.id::text AS subject,
                abs(moved.bank - (c.amount_vnd - used.returned)) + abs(moved.unallocated + c.amount_vnd - used.returned)
                + abs(c.left_vnd - (c.amount_vnd - used.all_of_it)) AS vnd FROM bank_credit c
            CROSS JOIN LATERAL (SELECT coalesce(sum(amount_vnd), 0) AS all_of_it,
                                       coalesce(sum(amount_vnd) FILTER (WHERE order_id IS NULL), 0) AS returned
                                FROM credit_use WHERE credit_id = c.id) AS used
            CROSS JOIN LATERAL (SELECT coalesce(sum(l.amount_vnd) FILTER (WHERE l.account = '{books.BANK}'), 0) AS bank,
                                       coalesce(sum(l.amount_vnd) FILTER (WHERE l.account = '{books.UNALLOCATED}'), 0) AS unallocated
                                FROM journal_entry e JOIN journal_line l ON l.entry_id = e.id
                                WHERE e.source_id = c.id AND e.agency = c.agency) AS moved
            WHERE {of.credits("c.id")} AND (moved.bank, moved.unallocated, c.left_vnd) IS DISTINCT FROM
                  (c.amount_vnd - used.returned, used.returned - c.amount_vnd, c.amount_vnd - used.all_of_it)
            UNION ALL SELECT agency, reader_id::text, sum(off) FROM
                (SELECT agency, reader_id, abs(sum(vnd)) AS off FROM
                    (SELECT p.agency, p.reader_id, '{books.UNALLOCATED}' AS account,
                            CASE WHEN p.order_id IS NULL THEN p.amount_vnd - p.refunded_vnd ELSE - p.amount_vnd END AS vnd
                     FROM payment p WHERE {readers} AND (p.order_id IS NULL OR NOT {BY_CARD.format("p")})
                     UNION ALL SELECT p.agency, p.reader_id, '{books.BANK}', r.amount_vnd
                     FROM payment p JOIN refund r ON r.payment_id = p.id
                     WHERE {readers} AND NOT {BY_CARD.format("r")} AND r.failed_at IS NULL
                     UNION ALL {lines}) AS all_of_it
                 GROUP BY agency, reader_id, account HAVING sum(vnd) <> 0) AS accounts
            GROUP BY agency, reader_id UNION ALL {shares}"""  # noqa: S608 - conditions of ours


class GiftsAreOwed(Invariant):
    """Of changes: of each giver what their gifts are worth and what their own entries moved."""

    name = "gifts_are_owed"
    statement = "What the books owe for gifts is what gifts that were not redeemed were paid with and was not given back, without tax"
    _WORTH = """i.net_vnd - (SELECT coalesce(sum(f.deferred_vnd), 0) FROM refund f WHERE f.payment_id = p.id AND f.failed_at IS NULL)"""
    _GIFTS = """gift g JOIN payment p ON p.order_id = g.order_id AND g.redeemed_at IS NULL JOIN invoice i ON i.payment_id = p.id"""
    sums = f"""SELECT books.id, '', abs(books.amount + facts.amount) FROM ({balance(books.GIFTS)}) AS books
        JOIN (SELECT a.id, coalesce(sum({_WORTH}), 0) AS amount FROM agency a LEFT JOIN ({_GIFTS}) ON g.agency = a.id
              GROUP BY a.id) AS facts ON facts.id = books.id WHERE books.amount <> - facts.amount"""  # noqa: S608 - constants of ours

    def sql(self, of: Scope) -> str:
        return f"""SELECT agency, reader_id::text, abs(sum(vnd)) FROM
            (SELECT p.agency, p.reader_id, {self._WORTH} AS vnd FROM {self._GIFTS} WHERE {of.readers("p.reader_id")}
             UNION ALL {booked(of, [books.GIFTS], "payment", "refund")}) AS all_of_it
            GROUP BY agency, reader_id HAVING sum(vnd) <> 0"""  # noqa: S608 - conditions of ours


class ContributionsAreEarned(Invariant):
    """Of changes: of each reader what they gave and what their own entries moved."""

    name = "contributions_are_earned"
    statement = "What contributions brought in, without tax, is revenue of their own in the books"
    _GIVEN = """invoice i JOIN payment p ON p.id = i.payment_id JOIN sales_order o ON o.id = p.order_id
        JOIN plan_price pp ON pp.id = o.price_id JOIN plan l ON l.id = pp.plan_id AND l.kind = 'contribution'"""
    sums = f"""SELECT books.id, '', abs(books.amount + facts.amount) FROM ({balance(books.CONTRIBUTIONS)}) AS books
        JOIN (SELECT a.id, coalesce(sum(i.net_vnd), 0) AS amount FROM agency a LEFT JOIN ({_GIVEN}) ON i.agency = a.id
              GROUP BY a.id) AS facts ON facts.id = books.id WHERE books.amount <> - facts.amount"""  # noqa: S608 - constants of ours

    def sql(self, of: Scope) -> str:
        return f"""SELECT agency, reader_id::text, abs(sum(vnd)) FROM
            (SELECT p.agency, p.reader_id, i.net_vnd AS vnd FROM {self._GIVEN} WHERE {of.readers("p.reader_id")}
             UNION ALL {booked(of, [books.CONTRIBUTIONS], "payment")}) AS all_of_it
            GROUP BY agency, reader_id HAVING sum(vnd) <> 0"""  # noqa: S608 - conditions of ours
