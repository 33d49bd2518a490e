"""Bank credits: each is booked when it is heard of, pays the order that its note names, or waits for a person.

Meaning: no credit is dropped and none counts twice. What makes it true: a source's report is written down once (``bank_notice``),
reports of one bank transaction by several sources meet in one credit by the bank's reference and amount, and what is left of a credit
follows from its uses in the database. Locks, in this order: the agency's credits, the order's reader, the order, the agency's books.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import structlog

from services.billing import metrics
from services.billing.charges import repository as charges_repository
from services.billing.ledger import rules as accounts
from services.billing.ledger.service import Posting, post_new
from services.billing.letters import rules as letter_rules
from services.billing.letters import service as letters
from services.billing.orders import repository as orders_repository
from services.billing.orders.codes import find_codes, mended_codes, near_codes
from services.billing.orders.models import SalesOrder
from services.billing.orders.settle import Receipt, settle
from services.billing.plans import repository as plans_repository
from services.billing.transfers import repository
from services.billing.transfers.doubles import doubles, facts_of
from services.billing.transfers.facts import CreditNotice
from services.billing.transfers.models import BankAccount, BankCredit, BankNotice, CreditUse
from services.billing.transfers.repository import Waiting
from services.billing.transfers.rules import Reason, refuses, split
from services.billing.transfers.views import CreditPage, CreditView, Proposal
from shared import audit
from shared.agencies import get_agency
from shared.clock import Clock, local_date
from shared.database import Database, Session
from shared.errors import ConflictError, NotFoundError
from shared.ids import new_id

log = structlog.get_logger(__name__)

PROVIDER = "transfer"
CANDIDATES = 20


class ForeignAccountError(Exception):
    """A notice about an account that is not the agency's: parked, until somebody enters the account."""


class Transfers:
    """Use cases of the bank's notices, and of finance."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def take(self, session: Session, agency: str, source: str, notice: CreditNotice) -> bool:
        """A report of a credit, in the caller's transaction. False when it tells nothing new.

        Raises :class:`ForeignAccountError`.
        """
        await repository.lock_credits(session, agency)
        if await repository.account(session, agency, notice.account) is None:
            raise ForeignAccountError(f"{notice.account} is no account of {agency}")
        if await repository.noticed(session, agency, source, notice.external_id):
            return False
        like = (
            await repository.like(
                session, agency, notice.account, notice.reference, notice.amount_vnd, source
            )
            if notice.reference
            else []
        )
        same = next((one.id for one in like if not one.told), None)
        credit_id = same or await self._book(session, agency, notice)
        session.add(
            BankNotice(
                agency=agency, source=source, external_id=notice.external_id, credit_id=credit_id
            )
        )
        await session.flush()
        if same is not None:
            return False
        await self._decide(session, agency, credit_id, notice, doubled=bool(like))
        return True

    async def _book(self, session: Session, agency: str, notice: CreditNotice) -> UUID:
        """The credit as it came, in the journal: money that is nobody's order yet."""
        now, id_ = self._clock.now(), new_id()
        occurred_at = min(notice.occurred_at, now)  # the bank's clock may be ahead of ours
        session.add(
            BankCredit(
                id=id_,
                agency=agency,
                account=notice.account,
                reference=notice.reference,
                amount_vnd=notice.amount_vnd,
                note=notice.note,
                payer=notice.payer,
                occurred_at=occurred_at,
                received_at=now,
                left_vnd=notice.amount_vnd,
                reason=Reason.NO_ORDER,
            )
        )
        await session.flush()
        return id_

    async def _decide(
        self,
        session: Session,
        agency: str,
        credit_id: UUID,
        notice: CreditNotice,
        *,
        doubled: bool,
    ) -> None:
        now = self._clock.now()
        named = await orders_repository.lock_with_readers(session, agency, find_codes(notice.note))
        order = named[0] if len(named) == 1 else None
        reason: Reason | None = Reason.SEVERAL_ORDERS if named else Reason.NO_ORDER
        if order is not None:
            facts = await facts_of(session, order, now)
            reason = refuses(facts, min(notice.occurred_at, now))
            if reason is None and doubled:
                reason = Reason.DOUBLED
            if reason is None and not order.amount_vnd:  # by a trial or a coupon: a card begins it
                reason = Reason.OVER
        await repository.set_reason(
            session, credit_id, reason or Reason.UNDER, order.id if order else None
        )
        # From here on the agency's books wait for this transaction.
        await self._post(session, agency, credit_id, notice.amount_vnd, notice.occurred_at)
        if order is not None and reason is None:
            await self._pay(session, order, credit_id)
        log.info("bank_credit", agency=agency, reason=reason or "", amount_vnd=notice.amount_vnd)

    async def _post(
        self, session: Session, agency: str, credit_id: UUID, amount_vnd: int, at: datetime
    ) -> None:
        now, found = self._clock.now(), await get_agency(session, agency)
        occurred_at = min(at, now)
        posting = Posting(
            agency,
            f"bank:credit:{credit_id}",
            "bank_credit",
            credit_id,
            local_date(occurred_at, found.zone),
            occurred_at,
            accounts.credit_lines(amount_vnd),
        )
        await post_new(session, posting, now)

    async def _pay(self, session: Session, order: SalesOrder, came: UUID) -> bool:
        """Pay a locked order with what waits for it, the credit that ``came`` last among it.

        False when that is not enough: its reader is told what is missing.
        """
        now = self._clock.now()
        credits = await repository.waiting_for(session, order.id)
        given = split([(one.id, one.left_vnd) for one in credits], order.amount_vnd)
        if given is None:
            if await orders_repository.begun(session, order):
                await charges_repository.close_pages(session, order.id, now)
            await self._tell_short(session, order, credits, came)
            return False
        by_id = {one.id: one for one in credits}
        for credit_id, amount_vnd in given:
            session.add(
                CreditUse(
                    id=new_id(),
                    agency=order.agency,
                    credit_id=credit_id,
                    order_id=order.id,
                    amount_vnd=amount_vnd,
                    used_at=now,
                )
            )
        await session.flush()
        used = dict(given)
        for one in credits:
            if used.get(one.id, 0) < one.left_vnd:
                await repository.set_reason(session, one.id, Reason.OVER, order.id)
        paid_at = max(by_id[credit_id].occurred_at for credit_id, _ in given)
        await settle(
            session, order, Receipt(PROVIDER, order.code, accounts.UNALLOCATED, paid_at, now), now
        )
        return True

    async def _tell_short(
        self, session: Session, order: SalesOrder, credits: Sequence[BankCredit], came: UUID
    ) -> None:
        if order.state != "open":
            return
        offer = await plans_repository.offer(session, order.agency, order.price_id)
        assert offer is not None  # a foreign key holds it
        told = letter_rules.transfer_short(
            came,
            (order.id, order.code, order.amount_vnd, order.expires_at),
            letter_rules.Sold(offer.name_vi, offer.name_en, offer.period),
            sum(one.left_vnd for one in credits if one.id == came),
            sum(one.left_vnd for one in credits),
            "gift" if order.gift else offer.kind,
        )
        await letters.write(session, order.agency, order.reader_id, told, self._clock.now())

    async def assign(self, agency: str, credit_id: UUID, code: str, why: str) -> bool:
        """Give what is left of a credit to an order, whatever kept it from it. Whether the order is paid by it.

        Raises :class:`NotFoundError`, and :class:`ConflictError` for a credit or an order that is settled already, for a closed order for
        another plan (``order-over``: its price counted with what was left then), and for one that renews beside another (``order-doubles``).
        """
        async with self._database.transaction() as session:
            credit = await self._waiting(session, agency, credit_id)
            orders = await orders_repository.lock_with_readers(session, agency, [code])
            if not orders:
                raise NotFoundError
            order = orders[0]
            if order.state == "paid" or not order.amount_vnd:
                raise ConflictError("This order is paid already", slug="order-paid")
            if order.purpose == "change" and order.state != "open":
                raise ConflictError(slug="order-over")
            if order.purpose == "sale" and order.renews and await doubles(session, order):
                raise ConflictError(slug="order-doubles")
            before = credit.reason
            await repository.set_reason(session, credit_id, Reason.UNDER, order.id)
            paid = await self._pay(session, order, credit_id)
            await audit.record(
                session,
                audit.Action.CREDIT_ASSIGNED,
                agency=agency,
                at=self._clock.now(),
                subject=f"bank-credit/{credit_id}",
                label=order.code,
                before={"reason": before, "left_vnd": credit.left_vnd},
                after={"order": order.code, "paid": paid, "why": why},
            )
            return paid

    async def give_back(self, agency: str, credit_id: UUID, reference: str, why: str) -> None:
        """Write down that what is left of a credit was transferred back to its payer.

        ``reference`` is the bank's of that transfer. Raises :class:`NotFoundError`, and :class:`ConflictError` for a
        credit of which nothing is left or a reference that was used before.
        """
        now = self._clock.now()
        async with self._database.transaction() as session:
            credit = await self._waiting(session, agency, credit_id)
            if await repository.returned(session, agency, reference):
                raise ConflictError("This transfer is written down already", slug="returned-before")
            found, left_vnd, id_ = await get_agency(session, agency), credit.left_vnd, new_id()
            session.add(
                CreditUse(
                    id=id_,
                    agency=agency,
                    credit_id=credit_id,
                    amount_vnd=left_vnd,
                    returned_as=reference,
                    why=why,
                    used_at=now,
                )
            )
            await session.flush()
            await audit.record(
                session,
                audit.Action.CREDIT_RETURNED,
                agency=agency,
                at=now,
                subject=f"bank-credit/{credit_id}",
                label=reference,
                before={"reason": credit.reason, "left_vnd": left_vnd},
                after={"left_vnd": 0, "why": why},
            )
            posting = Posting(
                agency,
                f"bank:return:{id_}",
                "bank_return",
                credit_id,
                local_date(now, found.zone),
                now,
                accounts.return_lines(left_vnd),
            )
            await post_new(session, posting, now)

    async def _waiting(self, session: Session, agency: str, credit_id: UUID) -> BankCredit:
        """A credit of which something is left, locked. Raises :class:`NotFoundError` and :class:`ConflictError`."""
        await repository.lock_credits(session, agency)
        known = await repository.lock_credit(session, agency, credit_id)
        if known is None:
            raise NotFoundError
        if known.left_vnd == 0:
            raise ConflictError("Nothing is left of this transfer", slug="credit-settled")
        return known

    async def page(
        self,
        agency: str,
        *,
        waiting: bool,
        words: str,
        limit: int,
        after: tuple[datetime, UUID] | None = None,
    ) -> CreditPage:
        """Credits, the newest first; with ``after`` (a credit's moment and id) those older than it."""
        async with self._database.read() as session:
            found = await repository.listing(
                session, agency, waiting=waiting, words=words, limit=limit + 1, after=after
            )
        return CreditPage(found[:limit], len(found) > limit)

    async def credit(self, agency: str, credit_id: UUID) -> CreditView:
        """One credit. Raises :class:`NotFoundError`."""
        async with self._database.read() as session:
            found = await repository.credit(session, agency, credit_id)
            if found is None:
                raise NotFoundError
            near = near_codes(found.note)
            codes = [*find_codes(found.note), *(code for one in near for code in mended_codes(one))]
            return CreditView(
                found,
                await repository.order_of(session, found.order_id) if found.order_id else None,
                await repository.sources(session, credit_id),
                await repository.uses(session, credit_id),
                await repository.candidates(session, agency, found.left_vnd, codes, CANDIDATES)
                if found.left_vnd
                else [],
                near,
            )

    async def proposal(self, agency: str, credit_id: UUID, code: str) -> Proposal | None:
        """What :meth:`assign` would do now; None without such an order. Raises :class:`NotFoundError` for the credit."""
        async with self._database.read() as session:
            found = await repository.credit(session, agency, credit_id)
            if found is None:
                raise NotFoundError
            order = await repository.order_named(session, agency, code)
            if order is None:
                return None
            id_ = order.pop("id")
            waiting = await repository.waits_beside(session, id_, credit_id)
            row = await orders_repository.by_id(session, id_)
            twice = row is not None and await doubles(session, row)
            return Proposal(**order, given_vnd=found.left_vnd, waiting_vnd=waiting, doubles=twice)

    async def returned_before(self, agency: str, reference: str) -> bool:
        """Whether a return is written down under the bank's reference."""
        async with self._database.read() as session:
            return await repository.returned(session, agency, reference)

    async def waiting(self, agency: str) -> Waiting:
        """What waits for a person."""
        async with self._database.read() as session:
            found = await repository.waiting(session, agency)
        return found[0] if found else Waiting(agency, 0, 0, None)

    async def accounts(self, agency: str) -> Sequence[BankAccount]:
        """The agency's accounts, the one that readers are shown first."""
        async with self._database.read() as session:
            return await repository.accounts(session, agency)

    async def save_account(self, agency: str, number: str, bank_bin: str, holder: str) -> None:
        """The account that readers transfer to from now on; what comes into the others is booked as before."""
        async with self._database.transaction() as session:
            await get_agency(session, agency)
            await repository.lock_credits(session, agency)
            before = await repository.accounts(session, agency)
            values = {"agency": agency, "number": number, "bank_bin": bank_bin, "holder": holder}
            shown = before[0] if before else None
            wanted = (number, bank_bin, holder)
            if shown is not None and (shown.number, shown.bank_bin, shown.holder) == wanted:
                return
            await repository.save_account(session, values)
            await audit.record(
                session,
                audit.Action.BANK_ACCOUNT_SAVED,
                agency=agency,
                at=self._clock.now(),
                subject=f"bank-account/{number}",
                label=holder,
                before={"shown": shown.number if shown else None},
                after={"shown": number, "bank_bin": bank_bin, "holder": holder},
            )

    async def measure(self) -> None:
        """The gauges of what waits for a person."""
        async with self._database.read() as session:
            rows = await repository.waiting(session)
        now = self._clock.now()
        for row in rows:
            metrics.CREDITS_WAITING.labels(row.agency).set(row.amount_vnd)
            age = (now - row.oldest_at).total_seconds() if row.oldest_at else 0.0
            metrics.CREDITS_AGE.labels(row.agency).set(max(age, 0.0))
