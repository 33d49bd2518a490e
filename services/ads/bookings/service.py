"""Use cases of orders and lines. The caller opens the transaction; events leave with it through the outbox."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from services.ads.availability import service as availability
from services.ads.availability.service import Avails
from services.ads.bookings import repository, trail
from services.ads.bookings.models import Line, LineChange, Order
from services.ads.bookings.repository import AnySession, LineView
from services.ads.bookings.rules import (
    HELD,
    Action,
    IllegalTransitionError,
    Price,
    Status,
    amount_problem,
    line_problems,
    needs_capacity,
    next_status,
    price,
)
from services.ads.catalogue import service as catalogue
from services.ads.catalogue.repository import ProductCard
from services.ads.catalogue.rules import rate_on, without_diacritics
from shared.agencies import Agency
from shared.contracts import Payload, new_event
from shared.contracts.ads import LineBooked, LineCanceled, LineExpired, LineReserved
from shared.database import Session
from shared.errors import (
    ConflictError,
    FieldError,
    InvalidInputError,
    NotFoundError,
    PreconditionError,
)
from shared.ids import new_id
from shared.outbox import record

TIMER = "timer"
_EVENTS: dict[Action, type[Payload]] = {
    Action.RESERVE: LineReserved,
    Action.BOOK: LineBooked,
    Action.EXPIRE: LineExpired,
    Action.CANCEL: LineCanceled,
}


@dataclass(frozen=True, slots=True)
class LineSpec:
    """What the customer wants."""

    product: str
    starts_on: date
    ends_on: date
    quantity: int
    name: str = ""
    pacing: str = "even"


@dataclass(frozen=True, slots=True)
class Quote:
    """What it would cost and whether it fits right now. Nothing is kept."""

    product: ProductCard
    price: Price
    cpm_vnd: int
    vat_percent: int
    avails: Avails


@dataclass(frozen=True, slots=True)
class Step:
    """A step somebody asks for. ``expected_version`` is If-Match."""

    action: Action
    actor: str
    hold: timedelta = timedelta(hours=1)
    expected_version: int | None = None
    note: str = ""


async def quote(session: AnySession, agency: Agency, spec: LineSpec) -> Quote:
    """Raises :class:`InvalidInputError` naming the fields, :class:`NotFoundError` for the product."""
    product = await catalogue.get_product(session, agency.id, spec.product)
    today = await availability.agency_today(session, agency)
    problems = line_problems(spec.starts_on, spec.ends_on, spec.quantity, today)
    rate = rate_on(product.rates, spec.starts_on)
    if rate is None:
        problems.append(
            ("product", "It has no price on the first day", "a product with a rate", {})
        )
    if problems or rate is None:
        raise InvalidInputError(errors=tuple(FieldError(*problem) for problem in problems))
    cost = price(spec.quantity, rate.cpm_vnd, rate.vat_percent)
    if amount_problem(cost.amount_vnd):
        raise InvalidInputError(errors=(FieldError("quantity", "The amount is too large"),))
    avails = await availability.ask(
        session, agency, product.placement_ids, spec.starts_on, spec.ends_on, spec.quantity
    )
    return Quote(product, cost, rate.cpm_vnd, rate.vat_percent, avails)


async def create_order(
    session: Session,
    agency: Agency,
    *,
    advertiser_id: UUID,
    name: str,
    specs: list[LineSpec],
    actor: str,
) -> tuple[UUID, list[UUID]]:
    """An order with its lines as drafts, priced by the card of their first day. Nothing is held yet."""
    advertiser = await catalogue.get_advertiser(session, agency.id, advertiser_id)
    order = Order(
        id=new_id(),
        agency_id=agency.id,
        number=await repository.next_order_number(session, agency.id),
        advertiser_id=advertiser.id,
        name=name or advertiser.name,
        created_by=actor,
    )
    await repository.insert(session, order)
    lines: list[Line] = []
    for spec in specs:
        offer = await quote(session, agency, spec)
        title = spec.name or f"{advertiser.name} – {offer.product.name}"
        line = Line(
            id=new_id(),
            agency_id=agency.id,
            order_id=order.id,
            product_id=offer.product.id,
            name=title,
            search_name=without_diacritics(title),
            pacing=spec.pacing,
            status=Status.DRAFT,
            starts_on=spec.starts_on,
            ends_on=spec.ends_on,
            quantity=spec.quantity,
            cpm_vnd=offer.cpm_vnd,
            amount_vnd=offer.price.amount_vnd,
            vat_vnd=offer.price.vat_vnd,
        )
        await repository.insert(session, line)
        lines.append(line)
    await trail.ordered(session, order, lines)
    return order.id, [line.id for line in lines]


async def create_house_line(
    session: Session,
    agency: Agency,
    *,
    advertiser_id: UUID,
    product: str,
    starts_on: date,
    ends_on: date,
    actor: str,
) -> UUID:
    """The agency's own ad: no goal, no price, no claim on capacity; it fills what nobody bought."""
    card = await catalogue.get_product(session, agency.id, product)
    advertiser = await catalogue.get_advertiser(session, agency.id, advertiser_id)
    order = Order(
        id=new_id(),
        agency_id=agency.id,
        number=await repository.next_order_number(session, agency.id),
        advertiser_id=advertiser.id,
        name=advertiser.name,
        created_by=actor,
    )
    await repository.insert(session, order)
    title = f"{advertiser.name} – {card.name}"
    line = Line(
        id=new_id(),
        agency_id=agency.id,
        order_id=order.id,
        product_id=card.id,
        name=title,
        search_name=without_diacritics(title),
        priority="house",
        pacing="asap",
        status=Status.BOOKED,
        starts_on=starts_on,
        ends_on=ends_on,
        quantity=0,
        cpm_vnd=0,
        amount_vnd=0,
        vat_vnd=0,
    )
    await repository.insert(session, line)
    await trail.ordered(session, order, [line])
    return line.id


async def edit_draft(
    session: Session, agency: Agency, line_id: UUID, spec: LineSpec, *, actor: str, version: int
) -> None:
    """Change a draft. Raises 412 for an older version, 409 once it is more than a draft."""
    line = await _locked(session, agency.id, line_id, version)
    if line.status != Status.DRAFT:
        raise ConflictError("Only a draft can be changed", slug="line-not-draft")
    terms = trail.terms(line)
    offer = await quote(session, agency, spec)
    line.product_id = offer.product.id
    line.starts_on, line.ends_on, line.quantity = spec.starts_on, spec.ends_on, spec.quantity
    line.pacing, line.cpm_vnd = spec.pacing, offer.cpm_vnd
    line.amount_vnd, line.vat_vnd = offer.price.amount_vnd, offer.price.vat_vnd
    if spec.name:
        line.name, line.search_name = spec.name, without_diacritics(spec.name)
    await _changed(session, line, "edit", Status.DRAFT, actor, "")
    await trail.changed(session, line, "edit", terms)


async def act(session: Session, agency: Agency, line_id: UUID, step: Step) -> None:
    """Take a line one step on, atomically with its events.

    Raises 404, 412, and 409 with a slug: ``line-state`` (not in the table), ``hold-expired``, ``flight-over``,
    ``price-changed`` (with ``old`` and ``new``), ``not-available`` (with ``available``, ``short_days`` and ``contending``).
    """
    if step.action in (Action.RESERVE, Action.ASK_BOOKING, Action.BOOK):
        # Before the clock is read: whoever waited here must judge holds by the time after the wait. Also to extend a
        # hold: until that is committed, another would see it run out and take its units.
        await availability.lock_inventory(session, agency.id)
    line = await _locked(session, agency.id, line_id, step.expected_version)
    now = await availability.database_time(session)
    before, terms = Status(line.status), trail.terms(line)
    try:
        after = next_status(before, step.action)
    except IllegalTransitionError as error:
        raise ConflictError(str(error), slug="line-state", line_status=before) from None
    held = before in HELD
    if held and step.action in (Action.BOOK, Action.ASK_BOOKING) and _over(line, now):
        raise ConflictError("The hold has run out; hold again", slug="hold-expired")
    if needs_capacity(before, step.action):
        await _require_price(session, agency, line)
        await _require_capacity(session, agency, line)
    line.status = after
    line.hold_expires_at = now + step.hold if after is Status.RESERVED else None
    if after is Status.PENDING_BOOKING:
        line.hold_expires_at = now + step.hold
    await _changed(session, line, step.action, before, step.actor, step.note)
    if step.actor != TIMER:  # what only time has done is in the line's own history
        await trail.changed(session, line, step.action, terms, step.note)
    payload = _EVENTS.get(step.action)
    if payload is not None:
        await record(session, await _event(session, line, payload, now))


def _over(line: Line, now: datetime) -> bool:
    return line.hold_expires_at is not None and line.hold_expires_at <= now


async def _locked(session: Session, agency: str, line_id: UUID, version: int | None) -> Line:
    line = await repository.lock_line(session, agency, line_id)
    if line is None:
        raise NotFoundError("There is no such line", slug="line-unknown")
    if version is not None and version != line.version:
        raise PreconditionError(
            f"The line is at version {line.version}", headers={"ETag": f'"{line.version}"'}
        )
    return line


async def _require_price(session: Session, agency: Agency, line: Line) -> None:
    """What is sold is sold at the card in force for its first day, not at the card of when it was drafted."""
    code = await repository.product_code(session, line.product_id)
    rate = rate_on((await catalogue.get_product(session, agency.id, code)).rates, line.starts_on)
    now = None if rate is None else price(line.quantity, rate.cpm_vnd, rate.vat_percent)
    if now != Price(line.amount_vnd, line.vat_vnd):
        raise ConflictError(
            "The price has changed since the line was drafted; draft it again",
            slug="price-changed",
            old={"amount_vnd": line.amount_vnd, "vat_vnd": line.vat_vnd},
            new=now and {"amount_vnd": now.amount_vnd, "vat_vnd": now.vat_vnd},
        )


async def _require_capacity(session: Session, agency: Agency, line: Line) -> None:
    today = await availability.agency_today(session, agency)
    if line.ends_on < today:
        raise ConflictError("The flight is over", slug="flight-over")
    code = await repository.product_code(session, line.product_id)
    product = await catalogue.get_product(session, agency.id, code)
    avails = await availability.ask(
        session,
        agency,
        product.placement_ids,
        max(line.starts_on, today),
        line.ends_on,
        line.quantity,
        except_line=line.id,
    )
    if not avails.fit.fits:
        raise ConflictError(
            f"Only {avails.fit.available} of {line.quantity} are free",
            slug="not-available",
            **refusal(avails, line.quantity),
        )


def refusal(avails: Avails, quantity: int) -> dict[str, Any]:
    """A refusal in figures and names, as JSON and for the page."""
    return {
        "requested": quantity,
        "available": avails.fit.available,
        "short_days": [day.isoformat() for day in avails.short_days],
        "contending": [label.as_dict() for label in avails.contending],
    }


async def _changed(
    session: Session, line: Line, action: str, before: Status, actor: str, note: str
) -> None:
    line.version += 1
    await repository.insert(
        session,
        LineChange(
            line_id=line.id,
            version=line.version,
            agency_id=line.agency_id,
            action=action,
            from_status=before,
            to_status=line.status,
            actor=actor,
            note=note,
        ),
    )


async def _event(session: Session, line: Line, payload: type[Payload], now: datetime) -> Any:
    return new_event(
        payload(
            line_id=line.id,
            order_id=line.order_id,
            product_code=await repository.product_code(session, line.product_id),
            status=str(line.status),
            quantity=line.quantity,
            amount_vnd=line.amount_vnd,
            starts_on=line.starts_on,
            ends_on=line.ends_on,
        ),
        agency=line.agency_id,
        subject=str(line.id),
        version=line.version,
        now=now,
    )


async def get_line(session: AnySession, agency: str, line_id: UUID) -> LineView:
    """Raises :class:`NotFoundError`."""
    found = await repository.line_view(session, agency, line_id)
    if found is None:
        raise NotFoundError("There is no such line", slug="line-unknown")
    return found


async def take_timed_steps(session: Session, action: Action, agencies: dict[str, Agency]) -> int:
    """Expire holds, start and finish flights whose time has come. Returns how many."""
    due = await repository.due(session, action)
    for agency_id, line_id in due:
        await act(session, agencies[agency_id], line_id, Step(action, TIMER))
    return len(due)
