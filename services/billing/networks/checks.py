"""What must always be true of groups' networks."""

from __future__ import annotations

from services.billing.invariants.invariant import Invariant, Scope


class NetworksAreToldAndEnd(Invariant):
    """Read of all networks each time: they are few, and time alone ends a seat by one."""

    name = "networks_are_told_and_end"
    statement = "The paywall was told of exactly the networks that are approved, all of them of plans that run, and nobody keeps a seat by one for more than thirty days and a quarter of an hour after they were last seen there"
    always_whole = True

    def sql(self, of: Scope) -> str:
        return f"""SELECT s.agency, s.reader_id::text, count(*) FROM
            (SELECT coalesce(a.subscription_id, t.subscription_id) AS subscription_id FROM
                (SELECT n.subscription_id, jsonb_agg(jsonb_build_array(host(n.first_ip), host(n.last_ip))
                    ORDER BY host(n.first_ip) COLLATE "C", host(n.last_ip) COLLATE "C") AS ranges
                 FROM seat_network n WHERE n.approved_at IS NOT NULL AND n.ended_at IS NULL GROUP BY 1) a
                FULL JOIN seat_network_told t ON t.subscription_id = a.subscription_id
                WHERE coalesce(a.ranges, '[]') <> coalesce(t.told -> 'ranges', '[]')
             UNION ALL SELECT n.subscription_id FROM seat_network n JOIN subscription r ON r.id = n.subscription_id
                WHERE n.ended_at IS NULL AND r.state IN ('canceled', 'expired')
             UNION ALL SELECT t.subscription_id FROM seat t WHERE t.network_id IS NOT NULL AND t.ended_at IS NULL
                AND t.seen_at < CAST(:now AS timestamptz) - interval '30 days 15 minutes') AS wrong
            JOIN subscription s ON s.id = wrong.subscription_id WHERE {of.readers("s.reader_id")}
            GROUP BY 1, 2"""  # noqa: S608 - a condition of ours
