"""What must always be true of offers."""

from __future__ import annotations

from services.billing.invariant import Invariant, of_agency


class OffersAreCounted(Invariant):
    name = "offers_are_counted"
    statement = "Whoever is in an offer has the offer's periods left less those they have paid at it, at the offer's amount and never more of them than it has"
    #: A student's offer has no number of periods. Of a change the amount is less by what was left of the plan before.
    sql = f"""SELECT
        (SELECT count(*) FROM subscription s JOIN price_offer f ON f.id = s.offer_id
         WHERE {of_agency("s.agency")} AND s.offer_left IS DISTINCT FROM f.periods - (SELECT count(*) FROM sales_order o
               WHERE o.reader_id = s.reader_id AND o.offer_id = f.id AND o.state = 'paid' AND o.trial_days IS NULL))
        + (SELECT count(*) FROM sales_order o JOIN price_offer f ON f.id = o.offer_id
           WHERE {of_agency("o.agency")} AND o.trial_days IS NULL AND o.amount_vnd <> f.amount_vnd - o.credit_vnd)"""  # noqa: S608 - a constant of ours
