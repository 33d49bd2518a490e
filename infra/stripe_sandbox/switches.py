"""What may be switched while the sandbox runs, beside how webhooks are delivered."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Refunds = Literal["by_card", "succeed", "wait", "fail", "wait_then_fail"]


class ApiSwitches(BaseModel):
    """The state of the switches of the API; each keeps its place until it is set anew."""

    model_config = ConfigDict(validate_assignment=True)

    currency: Literal["", "usd", "eur"] = Field(
        default="", description="Payments that begin now are in this currency, not in đồng."
    )
    bank_debits: bool = Field(
        default=False, description="Checkout also takes a bank debit, which stays processing."
    )
    late_fees: bool = Field(
        default=False, description="A charge's balance transaction, with its fee, comes later."
    )
    refunds: Refunds = Field(default="by_card", description="What becomes of a refund.")
    event_version: str = Field(
        default="", max_length=40, description="API version, and shape, of the next events."
    )
    fail_creates: int = Field(
        default=0, ge=0, le=1_000_000, description="How many new creating calls answer 500."
    )
    fail_after_effect: bool = Field(
        default=False, description="Such a call does its work before it answers 500."
    )
    slow_seconds: float = Field(default=0, ge=0, le=300, description="Wait before each answer.")
    no_answer: int = Field(
        default=0, ge=0, le=1_000_000, description="How many calls end without an answer."
    )
    no_answer_after_effect: bool = Field(
        default=False, description="Such a call does its work before the connection closes."
    )

    def take(self, name: Literal["fail_creates", "no_answer"]) -> bool:
        """Use one of the faults still to come up; False where none is left."""
        left = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return bool(left > 0)
