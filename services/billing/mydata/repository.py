"""What the copy of a reader's data is read from, one statement for each of its sections; and what a deletion asks and writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlmodel import col

from services.billing.mydata.models import ErasureCode
from services.billing.readers.models import Reader
from services.billing.readers.rules import erased_address
from services.billing.subscriptions.repository import ON_ITS_WAY
from shared.database import ReadSession, Session

#: Rows that are in memory at a time.
ROWS_AT_ONCE = 200

_PLAN = """JOIN plan_price pp ON pp.id = {price} JOIN plan l ON l.id = pp.plan_id"""
_OF_PAYMENT = "JOIN payment p ON p.id = {of}.payment_id WHERE p.reader_id = :reader"

#: By the section's name in the copy. ``:reader`` is whose it is; ``:email`` their address, ``:agency`` where.
SECTIONS: Mapping[str, str] = {
    "account": """SELECT r.id, r.agency, r.email, r.name, r.language, r.created_at FROM reader r WHERE r.id = :reader""",
    "sessions": """SELECT s.id, s.user_agent, s.network, s.created_at, s.last_seen_at, s.expires_at, s.ended_at
        FROM reader_session s WHERE s.reader_id = :reader ORDER BY s.created_at, s.id""",
    "password": """SELECT p.set_at, p.changed_at FROM reader_password p WHERE p.reader_id = :reader""",
    "consents": """SELECT c.purpose, c.version, c.granted, c.language, c.wording, c.network, c.user_agent, c.given_at
        FROM consent c WHERE c.reader_id = :reader ORDER BY c.given_at, c.id""",
    "address_changes": """SELECT c.old_email, c.new_email, c.changed_at, c.undone_at, c.network, c.user_agent FROM address_change c
        WHERE c.reader_id = :reader ORDER BY c.changed_at, c.id""",
    "mobile_number": """SELECT p.number, p.added_at FROM reader_phone p WHERE p.reader_id = :reader""",
    "letters": """SELECT t.kind, t.language, t.facts, coalesce(t.recipient, :email) AS sent_to, t.state, t.created_at, t.sent_at
        FROM letter t WHERE t.reader_id = :reader ORDER BY t.created_at, t.id""",
    "orders": f"""SELECT o.id, o.code, o.state, o.purpose, l.code AS plan, l.name_vi AS plan_name_vi, l.name_en AS plan_name_en,
            pp.period, o.article, o.gift, o.seats, o.list_vnd, o.credit_vnd, o.amount_vnd, o.trial_days, o.renews,
            f.kind AS offer, k.code AS coupon, o.subscription_id, o.language, o.return_to, o.created_at, o.expires_at, o.paid_at
        FROM sales_order o {_PLAN.format(price="o.price_id")} LEFT JOIN price_offer f ON f.id = o.offer_id
        LEFT JOIN coupon k ON k.id = o.coupon_id WHERE o.reader_id = :reader ORDER BY o.created_at, o.id""",  # noqa: S608
    "coupons_used": """SELECT k.code, o.code AS order_code, o.list_vnd - o.amount_vnd AS reduction_vnd, o.state AS order_state
        FROM sales_order o JOIN coupon k ON k.id = o.coupon_id WHERE o.reader_id = :reader ORDER BY o.created_at, o.id""",
    "payments": """SELECT p.id, p.order_id, p.surplus_of AS surplus_of_order_id, p.subscription_id, p.provider, p.reference,
            p.amount_vnd, p.refunded_vnd, p.seats, p.period_start, p.period_end, p.cut_at, p.paid_at
        FROM payment p WHERE p.reader_id = :reader ORDER BY p.paid_at, p.id""",
    "contributions": f"""SELECT p.id AS payment_id, p.amount_vnd, p.refunded_vnd, p.paid_at FROM payment p
        JOIN sales_order o ON o.id = p.order_id {_PLAN.format(price="o.price_id")}
        WHERE p.reader_id = :reader AND l.kind = 'contribution' ORDER BY p.paid_at, p.id""",  # noqa: S608
    "invoices": """SELECT i.id, i.series, i.document, i.payment_id, i.issued_at, i.issued_on, i.paid_on, i.seller_name, i.buyer_name,
            i.buyer_email, i.language, i.currency, i.net_vnd, i.vat_vnd, i.gross_vnd,
            (SELECT jsonb_agg(to_jsonb(n) - 'invoice_id' ORDER BY n.line_no) FROM invoice_line n WHERE n.invoice_id = i.id) AS lines
        FROM invoice i WHERE i.reader_id = :reader ORDER BY i.issued_at, i.id""",
    "card_charges": """SELECT c.id, c.order_id, c.subscription_id, c.provider, c.kind, c.amount_vnd, c.state, c.reference, c.failure,
            c.needs_holder, c.by_reader, c.language, c.created_at, c.updated_at
        FROM charge c WHERE c.reader_id = :reader ORDER BY c.created_at, c.id""",
    "foreign_payments": """SELECT m.provider, m.reference, m.amount AS amount_in_smallest_unit, m.currency, m.captured_at,
            m.returned AS returned_in_smallest_unit
        FROM foreign_money m JOIN charge c ON c.id = m.charge_id WHERE c.reader_id = :reader ORDER BY m.captured_at, m.id""",
    "payment_provider_records": """SELECT u.provider, u.external_id FROM provider_customer u
        WHERE u.reader_id = :reader ORDER BY u.provider""",
    "cards": """SELECT m.id, m.provider, m.label, m.expires_on, m.created_at, m.revoked_at
        FROM mandate m WHERE m.reader_id = :reader ORDER BY m.created_at, m.id""",
    "bank_transfers": """SELECT c.reference, c.amount_vnd, c.note, c.payer, c.occurred_at, c.received_at, c.left_vnd, c.reason,
            (SELECT jsonb_agg(jsonb_build_object('order_id', u.order_id, 'amount_vnd', u.amount_vnd, 'returned_as', u.returned_as)
             ORDER BY u.id) FROM credit_use u WHERE u.credit_id = c.id) AS used
        FROM bank_credit c WHERE c.id IN
            (SELECT b.id FROM bank_credit b JOIN sales_order o ON o.id = b.order_id WHERE o.reader_id = :reader
             UNION SELECT u.credit_id FROM credit_use u JOIN sales_order o ON o.id = u.order_id WHERE o.reader_id = :reader)
        ORDER BY c.occurred_at, c.id""",
    "subscriptions": f"""SELECT s.id, l.code AS plan, l.name_vi AS plan_name_vi, l.name_en AS plan_name_en, pp.period, pp.amount_vnd,
            s.collection, s.state, s.seats, s.cancel_at_period_end, s.paused_until, s.period_start, s.period_end, s.created_at,
            s.updated_at
        FROM subscription s {_PLAN.format(price="s.price_id")} WHERE s.reader_id = :reader ORDER BY s.created_at, s.id""",  # noqa: S608
    "subscription_transitions": """SELECT t.subscription_id, t.from_state, t.to_state, t.at
        FROM subscription_transition t JOIN subscription s ON s.id = t.subscription_id
        WHERE s.reader_id = :reader ORDER BY t.id""",
    "subscriptions_moved": """SELECT m.provider, m.external_id, m.state, m.ends, m.subscription_id, m.period_end, m.begun_at, m.moved_at
        FROM moved_subscription m WHERE m.reader_id = :reader ORDER BY m.begun_at, m.id""",
    "entitlements": """SELECT e.id, e.scope, e.plan_code, e.valid_from, e.valid_until, e.revoked, e.subscription_id, e.order_id,
            e.updated_at
        FROM entitlement e WHERE e.reader_id = :reader ORDER BY e.valid_from, e.id""",
    "gifts_bought": """SELECT o.code AS order_code, g.code AS gift_code, g.created_at, g.redeemed_at
        FROM gift g JOIN sales_order o ON o.id = g.order_id WHERE o.reader_id = :reader ORDER BY g.created_at, g.id""",
    "gift_recipients": """SELECT o.code AS order_code, g.email, g.message, g.send_on, g.named_at, g.times AS letters
        FROM gift_recipient g JOIN sales_order o ON o.id = g.order_id WHERE o.reader_id = :reader ORDER BY g.named_at, o.id""",
    "gifts_redeemed": """SELECT g.code AS gift_code, g.redeemed_at FROM gift g
        WHERE g.redeemed_by = :reader ORDER BY g.redeemed_at, g.id""",
    "memberships": """SELECT t.subscription_id, t.number, t.joined_at, t.seen_at AS last_on_its_network_at, t.ended_at, t.ended_by
        FROM seat t WHERE t.reader_id = :reader ORDER BY t.joined_at, t.id""",
    "group_members": """SELECT t.subscription_id, t.number, r.email, t.joined_at, t.ended_at, t.ended_by
        FROM seat t JOIN subscription s ON s.id = t.subscription_id JOIN reader r ON r.id = t.reader_id
        WHERE s.reader_id = :reader ORDER BY t.joined_at, t.id""",
    "invitations_sent": """SELECT i.subscription_id, i.email, i.created_at, i.sent_at, i.times_sent, i.expires_at, i.accepted_at,
            i.withdrawn_at
        FROM seat_invitation i JOIN subscription s ON s.id = i.subscription_id
        WHERE s.reader_id = :reader ORDER BY i.created_at, i.id""",
    "invitations_received": """SELECT i.created_at, i.sent_at, i.times_sent, i.expires_at, i.accepted_at, i.withdrawn_at
        FROM seat_invitation i WHERE i.agency = :agency AND i.email = :email ORDER BY i.created_at, i.id""",
    "group_domains": """SELECT d.subscription_id, d.domain, d.created_at, d.verified_at, d.ended_at
        FROM seat_domain d JOIN subscription s ON s.id = d.subscription_id
        WHERE s.reader_id = :reader ORDER BY d.created_at, d.id""",
    "group_networks": """SELECT n.subscription_id, host(n.first_ip) AS first_address, host(n.last_ip) AS last_address, n.asked_at, n.asked_from,
            n.asked_within, n.approved_at, n.ended_at, n.ended_by, n.ended_why
        FROM seat_network n JOIN subscription s ON s.id = n.subscription_id
        WHERE s.reader_id = :reader ORDER BY n.asked_at, n.id""",
    "bundles": """SELECT b.id, b.order_id, b.uses, b.valid_from, b.valid_until FROM bundle b
        WHERE b.reader_id = :reader ORDER BY b.valid_from, b.id""",
    "bundle_articles": """SELECT u.bundle_id, u.number, u.article, u.used_at, u.readable_until FROM bundle_use u
        JOIN bundle b ON b.id = u.bundle_id WHERE b.reader_id = :reader ORDER BY u.used_at, u.id""",
    "days_given": """SELECT g.days, g.starts_at, g.ends_at, g.reason, g.given_at, e.ended_at, e.reason AS ended_reason
        FROM given_days g LEFT JOIN given_days_ended e ON e.given_id = g.id
        WHERE g.reader_id = :reader ORDER BY g.given_at, g.id""",
    "refunds": f"""SELECT f.payment_id, f.kind, f.provider, f.provider_refund, f.amount_vnd, f.refunded_at, f.failed_at
        FROM refund f {_OF_PAYMENT.format(of="f")} ORDER BY f.refunded_at, f.id""",  # noqa: S608
    "refund_requests": f"""SELECT q.payment_id, q.amount_vnd, q.reason, q.state, q.by_card, q.asked_at, q.approved_at, q.refused_at,
            q.refused_why, q.paid_at, q.failed_at
        FROM refund_request q {_OF_PAYMENT.format(of="q")} ORDER BY q.asked_at, q.id""",  # noqa: S608
    "refunds_at_provider": f"""SELECT v.payment_id, v.provider, v.provider_refund, v.amount_vnd, v.told_at, v.succeeded_at, v.failed_at
        FROM provider_refund v {_OF_PAYMENT.format(of="v")} ORDER BY v.told_at, v.id""",  # noqa: S608
    "disputes": f"""SELECT d.payment_id, d.provider, d.provider_dispute, d.amount_vnd, d.state, d.opened_at, d.decided_at
        FROM dispute d {_OF_PAYMENT.format(of="d")} ORDER BY d.opened_at, d.id""",  # noqa: S608
    "acts_of_staff": """SELECT a.at, a.action, a.subject, a.before, a.after FROM audit_entry a
        WHERE a.agency = :agency AND a.subject IN (SELECT 'reader/' || CAST(:reader AS uuid)
            UNION ALL SELECT 'refund/' || q.id FROM refund_request q JOIN payment p ON p.id = q.payment_id WHERE p.reader_id = :reader
            UNION ALL SELECT 'bank-credit/' || c.id FROM bank_credit c JOIN sales_order o ON o.id = c.order_id
                      WHERE o.reader_id = :reader) ORDER BY a.at, a.id""",
    "student_address": """SELECT a.address, a.verified_at, a.valid_until FROM student_address a WHERE a.reader_id = :reader""",
}


async def rows(session: ReadSession, section: str, reader: Reader) -> AsyncIterator[dict[str, Any]]:
    """A section's rows, oldest first, as the server sends them."""
    sql = SECTIONS[section]
    values = {"reader": reader.id, "email": reader.email, "agency": reader.agency}
    found = await session.stream(
        text(sql).execution_options(yield_per=ROWS_AT_ONCE),
        {name: value for name, value in values.items() if f":{name}" in sql},
    )
    async for row in found.mappings():
        yield dict(row)


#: (members, money, refund, dispute) that stand in the way of a deletion.
_OBSTACLES = text(
    f"""SELECT EXISTS (SELECT FROM seat t JOIN subscription s ON s.id = t.subscription_id
                       WHERE s.reader_id = :reader AND t.ended_at IS NULL),
               EXISTS (SELECT FROM charge c WHERE c.reader_id = :reader AND {ON_ITS_WAY})
               OR EXISTS (SELECT FROM bank_credit c JOIN sales_order o ON o.id = c.order_id
                          WHERE o.reader_id = :reader AND c.left_vnd > 0),
               EXISTS (SELECT FROM refund_request q JOIN payment p ON p.id = q.payment_id
                       WHERE p.reader_id = :reader AND q.state IN ('asked', 'approved', 'sent'))
               OR EXISTS (SELECT FROM provider_refund v JOIN payment p ON p.id = v.payment_id
                          WHERE p.reader_id = :reader AND v.succeeded_at IS NULL AND v.failed_at IS NULL),
               EXISTS (SELECT FROM dispute d JOIN payment p ON p.id = d.payment_id
                       WHERE p.reader_id = :reader AND d.state = 'open')"""  # noqa: S608 - a constant of ours
)
#: What goes of them elsewhere. Letters are those to them, invitations of others to their mailbox, and what was sent there; a gift that
#: is still to go there is its giver's.
_TRACES = (
    """DELETE FROM letter WHERE reader_id = :reader
       OR (agency = :agency AND recipient = :email AND (kind = 'invited' OR state <> 'waiting'))""",
    "DELETE FROM reader_session WHERE reader_id = :reader",
    "DELETE FROM address_code WHERE reader_id = :reader",
    "DELETE FROM password_code WHERE reader_id = :reader",
    "DELETE FROM reader_password WHERE reader_id = :reader",
    "DELETE FROM address_change WHERE reader_id = :reader",
    """DELETE FROM number_proof WHERE agency = :agency
       AND (email = :email OR number IN (SELECT number FROM reader_phone WHERE reader_id = :reader))""",
    "DELETE FROM reader_phone WHERE reader_id = :reader",
    "DELETE FROM proof_code WHERE reader_id = :reader",
    """UPDATE gift_recipient SET email = NULL, message = ''
       WHERE order_id IN (SELECT id FROM sales_order WHERE reader_id = :reader) OR (agency = :agency AND email = :email AND times > 0)""",
    "DELETE FROM erasure_code WHERE reader_id = :reader",
    "DELETE FROM student_code WHERE reader_id = :reader",
    "DELETE FROM student_address WHERE reader_id = :reader",
    "DELETE FROM provider_customer WHERE reader_id = :reader",
    "DELETE FROM seat_domain WHERE subscription_id IN (SELECT id FROM subscription WHERE reader_id = :reader)",
    "UPDATE seat_network SET first_ip = NULL, last_ip = NULL WHERE subscription_id IN (SELECT id FROM subscription WHERE reader_id = :reader)",
    """UPDATE seat_invitation SET email = 'invitation-' || id || '@erased.invalid',
         withdrawn_at = CASE WHEN accepted_at IS NULL THEN coalesce(withdrawn_at, :now) END
       WHERE (agency = :agency AND email = :email) OR subscription_id IN (SELECT id FROM subscription WHERE reader_id = :reader)""",
    "UPDATE mandate SET label = '', expires_on = NULL WHERE reader_id = :reader",
    """UPDATE charge SET ask_at = :now WHERE reader_id = :reader AND kind = 'page' AND state IN ('created', 'open')""",
    """UPDATE sales_order SET return_to = '', state = CASE state WHEN 'open' THEN 'closed' ELSE state END
       WHERE reader_id = :reader AND (state = 'open' OR return_to <> '')""",
)
#: What goes of themselves; of their consents what only then may go.
_PERSON = (
    "UPDATE reader SET email = :erased, name = '', language = 'vi', erased_at = :now WHERE id = :reader",
    "UPDATE consent SET network = '', user_agent = '' WHERE reader_id = :reader",
)


async def obstacles(
    session: Session | ReadSession, reader_id: UUID
) -> tuple[bool, bool, bool, bool]:
    """Whether others have seats of theirs, money is on its way to us, money is on its way back, a bank has not decided."""
    row = (await session.execute(_OBSTACLES, {"reader": reader_id})).one()
    return row[0], row[1], row[2], row[3]


async def group_owners(session: Session, reader_id: UUID) -> list[UUID]:
    """Who pays for the seats that a reader has."""
    rows = await session.execute(
        text(
            """SELECT DISTINCT s.reader_id FROM seat t JOIN subscription s ON s.id = t.subscription_id
               WHERE t.reader_id = :reader AND t.ended_at IS NULL"""
        ),
        {"reader": reader_id},
    )
    return [row[0] for row in rows]


async def seats(session: Session, reader_id: UUID) -> list[UUID]:
    """The seats that a reader has in groups of others."""
    rows = await session.execute(
        text("SELECT id FROM seat WHERE reader_id = :reader AND ended_at IS NULL ORDER BY id"),
        {"reader": reader_id},
    )
    return [row[0] for row in rows]


async def end_ways_in(session: Session, reader: Reader) -> None:
    """Codes that wait, and sessions."""
    await session.execute(
        text(
            """DELETE FROM sign_in_code WHERE agency = :agency
               AND (sent_to = :email OR sent_to IN (SELECT number FROM reader_phone WHERE reader_id = :reader))"""
        ),
        {"agency": reader.agency, "email": reader.email, "reader": reader.id},
    )
    await session.execute(
        text("DELETE FROM reader_session WHERE reader_id = :reader"), {"reader": reader.id}
    )


async def hold(session: Session, reader: Reader) -> None:
    """The reader's row: until COMMIT nobody signs in by it."""
    await session.refresh(reader, with_for_update=True)


async def codes(session: Session, reader_id: UUID, now: datetime) -> Sequence[ErasureCode]:
    """A reader's codes in time, the newest first (the caller holds the reader's lock)."""
    return (
        await session.scalars(
            select(ErasureCode)
            .where(col(ErasureCode.reader_id) == reader_id, col(ErasureCode.expires_at) > now)
            .order_by(col(ErasureCode.created_at).desc(), col(ErasureCode.id))
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).all()


async def code_sent(session: ReadSession, reader_id: UUID, now: datetime) -> bool:
    """Whether a code of this reader's is in time."""
    found = await session.scalar(
        text(
            "SELECT EXISTS (SELECT FROM erasure_code WHERE reader_id = :reader AND expires_at > :now)"
        ),
        {"reader": reader_id, "now": now},
    )
    return bool(found)


async def forget_old(session: Session, now: datetime) -> None:
    """Codes that are over."""
    await session.execute(text("DELETE FROM erasure_code WHERE expires_at <= :now"), {"now": now})


async def cards(session: Session, reader_id: UUID) -> list[UUID]:
    """What may still be charged of a reader's."""
    rows = await session.execute(
        text("SELECT id FROM mandate WHERE reader_id = :reader AND revoked_at IS NULL ORDER BY id"),
        {"reader": reader_id},
    )
    return [row[0] for row in rows]


async def erase_traces(session: Session, reader: Reader, now: datetime) -> None:
    """What is personal beside the reader's row goes (the caller holds the reader's lock and row); see :data:`_TRACES`."""
    await _run(session, _TRACES, reader, now)


async def erase_person(session: Session, reader: Reader, now: datetime) -> None:
    """The reader's row is nobody's from now on."""
    await _run(session, _PERSON, reader, now)


async def _run(session: Session, statements: Sequence[str], reader: Reader, now: datetime) -> None:
    values = {
        "reader": reader.id,
        "agency": reader.agency,
        "email": reader.email,
        "erased": erased_address(reader.id),
        "now": now,
    }
    for sql in statements:
        await session.execute(
            text(sql), {name: value for name, value in values.items() if f":{name}" in sql}
        )
