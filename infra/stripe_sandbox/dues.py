"""What moves by itself later: a processing payment, a waiting refund, a payout on its way."""

from .scope import Scope
from .store import Doc

KIND = "sandbox.due"


def later(
    scope: Scope, job: str, target: str, *, customer: str | None, outcome: str, at: int
) -> None:
    """Note that something becomes of an object after a while; never, where the setting is 0.

    ``at`` is the time its customer lives in; the same clock lets it come due.
    """
    wait = scope.settings.later_seconds
    if wait:
        plan(scope, job, target, customer=customer, outcome=outcome, at=at + wait)


def plan(
    scope: Scope, job: str, target: str, *, customer: str | None, outcome: str, at: int
) -> None:
    """Note that something becomes of an object at a moment."""
    scope.save(
        {
            "id": scope.new_id("due"),
            "object": KIND,
            "at": at,
            "created": scope.now(),
            "job": job,
            "outcome": outcome,
            "target": target,
            "test_clock": clock_of(scope, customer),
        }
    )


def clock_of(scope: Scope, customer: str | None) -> str | None:
    """The test clock that a customer lives by."""
    owner = scope.find(customer) if customer else None
    return owner.get("test_clock") if owner else None


def take(scope: Scope, *, until: int, clock: str | None) -> list[Doc]:
    """What has come due on a clock (None: the wall's), oldest first; it is noted no more."""
    found = scope.all(KIND, ("at", "<=", until), ("test_clock", "is", clock), oldest_first=True)
    for due in found:
        scope.forget(due["id"])
    return sorted(found, key=lambda due: int(due["at"]))
