"""What must always be true of groups' networks."""

from __future__ import annotations

from services.billing.invariant import Invariant, of_agency


class NetworksAreToldAndEnd(Invariant):
    name = "networks_are_told_and_end"
    statement = "The paywall was told of exactly the networks that are approved, all of them of plans that run, and nobody keeps a seat by one for more than thirty days and a quarter of an hour after they were last seen there"
    sql = f"""SELECT (SELECT count(*) FROM
            (SELECT n.agency, n.subscription_id, jsonb_agg(jsonb_build_array(host(n.first_ip), host(n.last_ip))
                 ORDER BY host(n.first_ip) COLLATE "C", host(n.last_ip) COLLATE "C") AS ranges
             FROM seat_network n WHERE n.approved_at IS NOT NULL AND n.ended_at IS NULL GROUP BY 1, 2) a
            FULL JOIN seat_network_told t ON t.subscription_id = a.subscription_id
            WHERE coalesce(a.ranges, '[]') <> coalesce(t.told -> 'ranges', '[]') AND {of_agency("coalesce(a.agency, t.agency)")})
        + (SELECT count(*) FROM seat_network n JOIN subscription s ON s.id = n.subscription_id
           WHERE n.ended_at IS NULL AND s.state IN ('canceled', 'expired') AND {of_agency("n.agency")})
        + (SELECT count(*) FROM seat t WHERE t.network_id IS NOT NULL AND t.ended_at IS NULL
           AND t.seen_at < CAST(:now AS timestamptz) - interval '30 days 15 minutes' AND {of_agency("t.agency")})"""  # noqa: S608 - a constant of ours
