"""What moves by itself later: a processing payment, a waiting refund, a payout on its way."""

from .scope import Scope
from .store import Doc

KIND = "sandbox.due"


def later(scope: Scope, job: str, target: str, *, outcome: str, at: int) -> None:
    """Note that something becomes of an object after a while; never, where the setting is 0."""
    wait = scope.settings.later_seconds
    if wait:
        plan(scope, job, target, outcome=outcome, at=at + wait)


def plan(scope: Scope, job: str, target: str, *, outcome: str, at: int) -> None:
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
        }
    )


def take(scope: Scope, *, until: int) -> list[Doc]:
    """What has come due, oldest first; it is noted no more."""
    found = scope.all(KIND, ("at", "<=", until), oldest_first=True)
    for due in found:
        scope.forget(due["id"])
    return sorted(found, key=lambda due: int(due["at"]))
