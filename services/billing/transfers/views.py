"""What staff are shown of bank credits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.billing.transfers.models import BankCredit
from services.billing.transfers.rules import shown


@dataclass(frozen=True, slots=True)
class CreditView:
    """A credit with who told of it and what became of it, and the orders that what is left may be meant for.

    ``order`` is the one that its reason is about or that it went to; ``near`` is what looks like a code in its note and is none.
    """

    credit: BankCredit
    order: dict[str, Any] | None
    sources: list[dict[str, Any]]
    uses: list[dict[str, Any]]
    candidates: list[dict[str, Any]]
    near: list[str]

    @property
    def reason(self) -> str:
        """Why it waits; empty where nothing is left."""
        order = self.order or {}
        return shown(self.credit.reason, order.get("purpose"), order.get("state"))


@dataclass(frozen=True, slots=True)
class Proposal:
    """What would come of giving what is left of a credit to an order.

    ``given_vnd`` is left of the credit, ``waiting_vnd`` waits for the order already; ``doubles``: the reader's own plan renews by
    itself, so that they would pay twice for the same days.
    """

    code: str
    amount_vnd: int
    state: str
    purpose: str
    reader_id: UUID
    reader_email: str
    given_vnd: int
    waiting_vnd: int
    doubles: bool

    @property
    def is_over(self) -> bool:
        """Whether it was for another plan, and closed: its price counted with what was left then."""
        return self.purpose == "change" and self.state == "closed"

    @property
    def missing_vnd(self) -> int:
        """0 when the order would be paid."""
        return max(self.amount_vnd - self.given_vnd - self.waiting_vnd, 0)

    @property
    def over_vnd(self) -> int:
        return max(self.given_vnd + self.waiting_vnd - self.amount_vnd, 0)


@dataclass(frozen=True, slots=True)
class CreditPage:
    """A stretch of credits, the newest first; ``more`` when older ones follow."""

    credits: list[dict[str, Any]]
    more: bool
