"""What the audit trail keeps of orders and lines."""

from __future__ import annotations

from typing import Any

from services.ads.availability.service import database_time
from services.ads.bookings.models import Line, Order
from shared import audit
from shared.audit.rules import difference
from shared.database import Session


def terms(line: Line) -> dict[str, Any]:
    """What was agreed on."""
    return {
        "status": str(line.status),
        "product": line.product_id,
        "starts_on": line.starts_on,
        "ends_on": line.ends_on,
        "quantity": line.quantity,
        "pacing": line.pacing,
        "cpm_vnd": line.cpm_vnd,
        "amount_vnd": line.amount_vnd,
        "vat_vnd": line.vat_vnd,
    }


async def ordered(session: Session, order: Order, lines: list[Line]) -> None:
    """An order with its lines, in the transaction that made them."""
    await audit.record(
        session,
        audit.Action.ORDER_CREATED,
        agency=order.agency_id,
        at=await database_time(session),
        subject=f"order/{order.id}",
        label=order.name,
        after={"lines": [{"line": line.id, "name": line.name} | terms(line) for line in lines]},
    )


async def changed(
    session: Session, line: Line, step: str, before: dict[str, Any], note: str = ""
) -> None:
    """A step of a line; ``before`` are its terms before it."""
    was, now = difference(before, terms(line))
    await audit.record(
        session,
        audit.Action.LINE_CHANGED,
        agency=line.agency_id,
        at=await database_time(session),
        subject=f"line/{line.id}",
        label=line.name,
        before=was,
        after={"step": step} | ({"note": note} if note else {}) | now,
    )
