"""What must always be true of offers. Of changes: of each reader."""

from __future__ import annotations

from services.billing.invariants.invariant import Invariant, Scope


class OffersAreCounted(Invariant):
    name = "offers_are_counted"
    statement = "Whoever is in an offer has its periods left less those that they have paid at it since they took it last, and an order at an offer costs what the offer says"

    #: A student's offer has no number of periods. Finance may give money for an offer that is used up to its order all the same.
    #: Of a change what was left of the plan before is taken off; a trial costs nothing.
    def sql(self, of: Scope) -> str:
        return f"""SELECT agency, reader_id::text, count(*) FROM
            (SELECT s.agency, s.reader_id FROM subscription s JOIN price_offer f ON f.id = s.offer_id
             LEFT JOIN (SELECT DISTINCT ON (o.reader_id, o.offer_id) o.reader_id, o.offer_id, count(*) AS paid FROM sales_order o
                        WHERE {of.readers("o.reader_id")} AND o.offer_id IS NOT NULL AND o.state = 'paid' AND o.trial_days IS NULL
                        GROUP BY o.reader_id, o.offer_id, o.offer_turn
                        ORDER BY o.reader_id, o.offer_id, o.offer_turn DESC) u ON u.reader_id = s.reader_id AND u.offer_id = s.offer_id
             WHERE {of.readers("s.reader_id")} AND s.offer_left IS DISTINCT FROM
                   CASE WHEN f.periods IS NOT NULL THEN greatest(f.periods - coalesce(u.paid, 0), 0) END
             UNION ALL SELECT o.agency, o.reader_id FROM sales_order o JOIN price_offer f ON f.id = o.offer_id
             WHERE {of.readers("o.reader_id")} AND o.trial_days IS NULL AND o.amount_vnd <> f.amount_vnd - o.credit_vnd) AS wrong
            GROUP BY 1, 2"""  # noqa: S608 - conditions of ours
