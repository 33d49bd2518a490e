"""Test clocks: a customer's own time, which only moves when told to."""

from .errors import invalid
from .listing import listing
from .params import Params
from .renewals import run_due
from .scope import Scope
from .store import Doc

URL = "/v1/test_helpers/test_clocks"
KIND = "test_helpers.test_clock"
LIFE = 30 * 86_400
# Stripe lets a clock move at most two of the longest periods at once; years are enough for us.
FURTHEST = 5 * 366 * 86_400


def create(scope: Scope, params: Params) -> Doc:
    """POST /v1/test_helpers/test_clocks"""
    frozen = params.integer("frozen_time", least=0)
    if frozen is None:
        raise invalid("Missing required param: frozen_time.", param="frozen_time")
    name = params.text("name", longest=300)
    params.finish()
    now = scope.now()
    clock = scope.save(
        {
            "id": scope.new_id("clock"),
            "object": KIND,
            "created": now,
            "deletes_after": now + LIFE,
            "frozen_time": frozen,
            "livemode": False,
            "name": name,
            "status": "ready",
            "status_details": {},
        }
    )
    scope.emit("test_helpers.test_clock.created", clock)
    return clock


def advance(scope: Scope, params: Params, identifier: str) -> Doc:
    """POST /v1/test_helpers/test_clocks/:id/advance

    At Stripe this takes a while and the clock says ``advancing``; here it is done when answered.
    """
    target = params.integer("frozen_time")
    if target is None:
        raise invalid("Missing required param: frozen_time.", param="frozen_time")
    params.finish()
    return move(scope, scope.fetch(KIND, identifier), target)


def move(scope: Scope, clock: Doc, target: int) -> Doc:
    """Let time pass on a clock up to a moment."""
    if target <= clock["frozen_time"]:
        raise invalid("Test clocks can only be advanced forward.", param="frozen_time")
    if target - clock["frozen_time"] > FURTHEST:
        raise invalid("A test clock can be advanced by five years at most.", param="frozen_time")
    run_due(scope, until=target, clock=clock["id"])
    moved = scope.save({**clock, "frozen_time": target})
    scope.emit("test_helpers.test_clock.ready", moved)
    return moved


def retrieve(scope: Scope, params: Params, identifier: str) -> Doc:
    """GET /v1/test_helpers/test_clocks/:id"""
    return scope.fetch(KIND, identifier)


def list_(scope: Scope, params: Params) -> Doc:
    """GET /v1/test_helpers/test_clocks"""
    return listing(scope, KIND, URL, params)
