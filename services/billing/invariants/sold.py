"""What must always be true of what was sold: orders, rights to read, refunds, recurring revenue. Of changes: of each reader."""

from __future__ import annotations

from services.billing.invariants.invariant import BY_CARD, Invariant, Scope


class OrdersArePaidOnce(Invariant):
    name = "orders_are_paid_once"
    statement = "A paid order has one payment of its amount, made of its transfers where it was paid by transfer; an unpaid one has none"

    def sql(self, of: Scope) -> str:
        return f"""SELECT o.agency, o.reader_id::text, count(*) FROM sales_order o
            LEFT JOIN payment p ON p.order_id = o.id
            CROSS JOIN LATERAL (SELECT coalesce(sum(amount_vnd), 0) AS vnd FROM credit_use WHERE order_id = o.id) AS used
            CROSS JOIN LATERAL (SELECT CASE WHEN o.state = 'paid' THEN o.amount_vnd ELSE 0 END AS vnd) AS right_
            WHERE {of.readers("o.reader_id")}
                  AND (coalesce(p.amount_vnd, 0) <> right_.vnd
                       OR used.vnd <> CASE WHEN {BY_CARD.format("p")} THEN 0 ELSE right_.vnd END)
            GROUP BY 1, 2"""  # noqa: S608 - conditions of ours


class PaidInvoicesHaveEntitlements(Invariant):
    name = "paid_invoices_have_entitlements"
    statement = "Every payment that was not given back has its right to read within a minute"

    def sql(self, of: Scope) -> str:
        return f"""SELECT p.agency, p.reader_id::text, count(*) FROM payment p
            WHERE {of.readers("p.reader_id")} AND p.refunded_vnd < greatest(p.amount_vnd, 1) AND p.period_end IS NOT NULL
                  AND coalesce(p.cut_at, p.period_end) > p.period_start
                  AND NOT EXISTS (SELECT FROM bundle b WHERE b.order_id = p.order_id)
                  AND NOT EXISTS (SELECT FROM entitlement e
                      WHERE e.subscription_id = p.subscription_id
                            AND e.valid_from <= p.period_start AND e.valid_until >= coalesce(p.cut_at, p.period_end))
                  AND NOT EXISTS (SELECT FROM entitlement e
                      WHERE p.subscription_id IS NULL AND e.order_id = p.order_id
                            AND e.valid_from <= p.period_start AND e.valid_until >= coalesce(p.cut_at, p.period_end))
            GROUP BY 1, 2"""  # noqa: S608 - a condition of ours


class BundlesOpenWhatWasPaidFor(Invariant):
    name = "bundles_open_what_was_paid_for"
    statement = "Every bundle that was paid for is there, opens no more articles than it has, and each of them is readable as long as its money was not given back"

    def sql(self, of: Scope) -> str:
        return f"""SELECT agency, reader_id::text, count(*) FROM
            (SELECT p.agency, p.reader_id FROM payment p JOIN sales_order o ON o.id = p.order_id
             JOIN plan_price pp ON pp.id = o.price_id JOIN plan l ON l.id = pp.plan_id AND l.kind = 'bundle'
             LEFT JOIN bundle b ON b.order_id = o.id
             WHERE {of.readers("p.reader_id")}
                   AND (b.uses, b.reader_id, b.valid_from, b.valid_until)
                       IS DISTINCT FROM (l.uses, p.reader_id, p.period_start, p.period_end)
             UNION ALL SELECT b.agency, b.reader_id FROM bundle b WHERE {of.readers("b.reader_id")}
                   AND b.uses < (SELECT count(*) FROM bundle_use u WHERE u.bundle_id = b.id)
             UNION ALL SELECT b.agency, b.reader_id FROM bundle b JOIN bundle_use u ON u.bundle_id = b.id
                   JOIN payment p ON p.order_id = b.order_id LEFT JOIN entitlement e ON e.use_id = u.id
             WHERE {of.readers("b.reader_id")}
                   AND ((e.reader_id, e.scope, e.revoked) IS DISTINCT FROM
                           (u.reader_id, 'article:' || u.article, p.refunded_vnd >= greatest(p.amount_vnd, 1))
                        OR (NOT e.revoked AND e.valid_until <> u.readable_until))) AS wrong
            GROUP BY 1, 2"""  # noqa: S608 - conditions of ours


class InboxIsHandled(Invariant):
    """Time alone breaks it: each reading is of all that waits, by an index of nothing else."""

    name = "inbox_is_handled"
    statement = (
        "Every webhook event is handled or parked within a quarter of an hour of its last try"
    )
    always_whole = True

    def sql(self, of: Scope) -> str:
        return """SELECT coalesce(agency, ''), '', count(*) FROM webhook_event
            WHERE state = 'waiting' AND next_attempt_at < CAST(:now AS timestamptz) - interval '15 minutes' GROUP BY 1"""


class RefundsWithinCaptured(Invariant):
    name = "refunds_within_captured"
    statement = "Refunds and lost disputes of a payment, and refunds asked for, never exceed what was captured, add up to what it says, and were paid out"

    #: What was asked for and paid out has its refund, also where it came back afterwards; of a card it may also be given back unasked.
    def sql(self, of: Scope) -> str:
        return f"""SELECT p.agency, p.reader_id::text, count(*) FROM payment p
            CROSS JOIN LATERAL (SELECT coalesce(sum(amount_vnd) FILTER (WHERE failed_at IS NULL), 0) AS amount,
                                       coalesce(sum(amount_vnd) FILTER (WHERE kind = 'refund'), 0) AS sent
                                FROM refund WHERE payment_id = p.id) AS r
            CROSS JOIN LATERAL (SELECT coalesce(sum(amount_vnd) FILTER (WHERE state = 'paid'), 0) AS paid,
                                       coalesce(sum(amount_vnd) FILTER (WHERE state IN ('asked', 'approved')), 0) AS open
                                FROM refund_request WHERE payment_id = p.id AND NOT by_card) AS q
            WHERE {of.readers("p.reader_id")}
                  AND (p.refunded_vnd + q.open > p.amount_vnd OR p.refunded_vnd <> r.amount
                       OR (NOT {BY_CARD.format("p")} AND r.sent <> q.paid)
                       OR EXISTS (SELECT FROM refund_request c WHERE c.payment_id = p.id AND c.by_card AND c.state = 'paid'
                                  AND NOT EXISTS (SELECT FROM refund f WHERE f.payment_id = p.id AND f.amount_vnd = c.amount_vnd
                                                  AND f.provider_refund = c.provider_refund AND f.failed_at IS NULL)))
            GROUP BY 1, 2"""  # noqa: S608 - conditions of ours


class MrrMovementsSum(Invariant):
    name = "mrr_movements_sum"
    statement = "The movements of monthly recurring revenue sum to the monthly recurring revenue"

    def sql(self, of: Scope) -> str:
        return f"""SELECT s.agency, s.reader_id::text, count(*) FROM subscription s
            CROSS JOIN LATERAL (SELECT coalesce(sum(amount_vnd), 0) AS vnd FROM mrr_movement WHERE subscription_id = s.id) AS moved
            WHERE {of.readers("s.reader_id")} AND s.mrr_vnd <> moved.vnd GROUP BY 1, 2"""  # noqa: S608 - a condition of ours


class MrrRollsForward(Invariant):
    name = "mrr_rolls_forward"
    statement = "Opening and movements of recurring revenue are the closing of every month: each movement takes up what the one before left, and the last one leaves what the agency's subscriptions stand at"

    def sql(self, of: Scope) -> str:
        return f"""SELECT s.agency, s.reader_id::text, sum(steps.wrong) FROM subscription s
            CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE after < 0 OR after < amount_vnd
                                           OR (after = amount_vnd) <> (movement IN ('new', 'reactivation'))
                                           OR (after = 0) <> (movement = 'churn'))
                                       + (coalesce(sum(amount_vnd), 0) <> s.mrr_vnd)::integer AS wrong
                                FROM (SELECT movement, amount_vnd, sum(amount_vnd) OVER (ORDER BY version) AS after
                                      FROM mrr_movement WHERE subscription_id = s.id) AS ran) AS steps
            WHERE {of.readers("s.reader_id")} AND steps.wrong > 0 GROUP BY 1, 2"""  # noqa: S608 - a condition of ours


class PeriodsDoNotOverlap(Invariant):
    """Of two periods that overlap each is found, for a gift that went on in a subscription was paid for by another reader."""

    name = "periods_do_not_overlap"
    statement = "No two periods that were paid for (net of refunds) of one subscription overlap, but for those a change of plan has cut short"

    def sql(self, of: Scope) -> str:
        return f"""SELECT a.agency, a.reader_id::text, count(*) FROM payment a JOIN payment b
            ON b.subscription_id = a.subscription_id AND b.id <> a.id
            AND tstzrange(a.period_start, a.period_end) && tstzrange(b.period_start, b.period_end)
            WHERE {of.readers("a.reader_id")}
                  AND a.replaced_by IS NULL AND b.replaced_by IS NULL
                  AND a.refunded_vnd < greatest(a.amount_vnd, 1) AND b.refunded_vnd < greatest(b.amount_vnd, 1)
            GROUP BY 1, 2"""  # noqa: S608 - a condition of ours
