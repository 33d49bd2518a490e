"""What must always be true of bundles and of contributions."""

from __future__ import annotations

from services.billing.invariant import Invariant
from services.billing.invariant import of_agency as _of
from services.billing.ledger import rules as books


class BundlesOpenWhatWasPaidFor(Invariant):
    name = "bundles_open_what_was_paid_for"
    statement = "Every bundle that was paid for is there, opens no more articles than it has, and each of them is readable as long as its money was not given back"
    sql = f"""SELECT (SELECT count(*) FROM payment p JOIN sales_order o ON o.id = p.order_id
              JOIN plan_price pp ON pp.id = o.price_id JOIN plan l ON l.id = pp.plan_id AND l.kind = 'bundle'
              LEFT JOIN bundle b ON b.order_id = o.id
              WHERE {_of("p.agency")}
                    AND (b.uses, b.reader_id, b.valid_from, b.valid_until)
                        IS DISTINCT FROM (l.uses, p.reader_id, p.period_start, p.period_end))
        + (SELECT count(*) FROM bundle b WHERE {_of("b.agency")}
              AND b.uses < (SELECT count(*) FROM bundle_use u WHERE u.bundle_id = b.id))
        + (SELECT count(*) FROM bundle_use u JOIN bundle b ON b.id = u.bundle_id JOIN payment p ON p.order_id = b.order_id
              LEFT JOIN entitlement e ON e.use_id = u.id
              WHERE {_of("u.agency")}
                    AND ((e.reader_id, e.scope, e.revoked) IS DISTINCT FROM
                            (u.reader_id, 'article:' || u.article, p.refunded_vnd >= greatest(p.amount_vnd, 1))
                         OR (NOT e.revoked AND e.valid_until <> u.readable_until)))"""  # noqa: S608 - a constant of ours


class ContributionsAreEarned(Invariant):
    name = "contributions_are_earned"
    statement = "What contributions brought in, without tax, is revenue of their own in the books"
    sql = f"""SELECT coalesce(sum(abs(books.amount - facts.amount)), 0) FROM
        (SELECT a.id, coalesce(sum(d.credit_vnd - d.debit_vnd), 0) AS amount FROM agency a
         LEFT JOIN account_day d ON d.agency = a.id AND d.account = '{books.CONTRIBUTIONS}' GROUP BY a.id) AS books
        JOIN (SELECT a.id, coalesce(sum(i.net_vnd), 0) AS amount FROM agency a
              LEFT JOIN (invoice i JOIN payment p ON p.id = i.payment_id JOIN sales_order o ON o.id = p.order_id
                         JOIN plan_price pp ON pp.id = o.price_id JOIN plan l ON l.id = pp.plan_id AND l.kind = 'contribution')
              ON i.agency = a.id GROUP BY a.id) AS facts ON facts.id = books.id WHERE {_of("books.id")}"""  # noqa: S608 - a constant of ours
