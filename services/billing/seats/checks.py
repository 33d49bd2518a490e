"""What must always be true of groups. Of changes: of each owner."""

from __future__ import annotations

from services.billing.invariants.invariant import Invariant, Scope


class SeatsArePaidFor(Invariant):
    name = "seats_are_paid_for"
    statement = "No more seats of a group are taken, its owner's among them, than its running period is paid for, within a quarter of an hour of its beginning"

    def sql(self, of: Scope) -> str:
        return f"""SELECT s.agency, s.reader_id::text, count(*) FROM subscription s
            CROSS JOIN LATERAL (SELECT count(*) + 1 AS taken, max(number) AS highest FROM seat
                                WHERE subscription_id = s.id AND ended_at IS NULL) AS t
            LEFT JOIN LATERAL (SELECT p.seats FROM payment p WHERE p.subscription_id = s.id
                AND p.period_start <= CAST(:now AS timestamptz) - interval '15 minutes' AND coalesce(p.cut_at, p.period_end) > :now
                AND p.refunded_vnd < greatest(p.amount_vnd, 1) ORDER BY p.period_start DESC LIMIT 1) AS running ON true
            WHERE {of.readers("s.reader_id")} AND t.taken > 1
                  AND greatest(t.taken, t.highest) > least(s.seats, coalesce(running.seats, s.seats))
            GROUP BY 1, 2"""  # noqa: S608 - a condition of ours


class MembersReadAsTheirOwners(Invariant):
    name = "members_read_as_their_owners"
    statement = "Whoever has a seat reads from joining on in the very stretches that its owner does, and nobody by a seat that has ended"

    #: Of a seat that a later period is not paid for: in no stretch that its owner does not read.
    def sql(self, of: Scope) -> str:
        return f"""SELECT s.agency, s.reader_id::text, count(*) FROM subscription s JOIN seat t ON t.subscription_id = s.id
            WHERE {of.readers("s.reader_id")} AND (
            EXISTS (SELECT FROM entitlement m WHERE m.seat_id = t.id AND NOT m.revoked AND m.valid_until > :now
                    AND (m.valid_until > t.ended_at OR NOT EXISTS (SELECT FROM entitlement e WHERE e.subscription_id = t.subscription_id
                         AND NOT e.revoked AND e.valid_from <= m.valid_from AND e.valid_until >= m.valid_until)))
            OR (t.ended_at IS NULL
                AND NOT EXISTS (SELECT FROM payment p WHERE p.subscription_id = t.subscription_id AND p.seats < t.number
                                AND coalesce(p.cut_at, p.period_end) > :now AND p.refunded_vnd < greatest(p.amount_vnd, 1))
                AND EXISTS (SELECT FROM entitlement e WHERE e.subscription_id = t.subscription_id AND NOT e.revoked
                    AND e.valid_until > greatest(:now, t.joined_at)
                    AND NOT EXISTS (SELECT FROM entitlement m WHERE m.seat_id = t.id AND NOT m.revoked
                        AND m.valid_from = greatest(e.valid_from, t.joined_at) AND m.valid_until = e.valid_until
                        AND (m.plan_code, m.scope) = (e.plan_code, e.scope)))))
            GROUP BY 1, 2"""  # noqa: S608 - a condition of ours
