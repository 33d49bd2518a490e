"""The OpenAPI document as the application really answers: hot routes in it, and every refusal as a problem.

What any route may say is written here once, by what the route is: with a credential or public, with a body or without, with a
version in ``If-Match``. A route names what only it says (``responses={410: …}``), and ``openapi_extra={"x-public": True}``
when nobody has to be known.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shared.web.front import HotRoute

UNSAFE = frozenset({"post", "put", "patch", "delete"})
PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457. `type` never changes once published; `errors` names each field and what would be right.",
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "pattern": "^urn:press-revenue:problem:"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {
                    "field": {"type": "string"},
                    "message": {"type": "string"},
                    "expected": {"type": "string"},
                },
            },
        },
    },
}
_CONTENT = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def complete(document: dict[str, Any], hot_routes: Iterable[HotRoute]) -> None:
    """Put hot routes and problems into the framework's document."""
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for route in hot_routes:
        if route.operation is not None:
            of_path = document["paths"].setdefault(route.path, {})
            of_path[route.method.lower()] = dict(route.operation)
            for kind, parts in route.components.items():
                components.setdefault(kind, {}).update(parts)
    schemas["Problem"] = PROBLEM
    for name in ("HTTPValidationError", "ValidationError"):  # the framework's own, never answered
        schemas.pop(name, None)
    for operations in document["paths"].values():
        for method, operation in operations.items():
            operation["responses"] = _with_problems(method, operation)


def _with_problems(method: str, operation: dict[str, Any]) -> dict[str, Any]:
    responses = dict(operation["responses"])
    for status in sorted(_refusals(method, operation)):
        responses.setdefault(str(status), {"description": HTTPStatus(status).phrase})
    return {
        status: response if int(status) < 400 else response | {"content": _CONTENT}
        for status, response in responses.items()
    }


def _refusals(method: str, operation: dict[str, Any]) -> set[int]:
    """How a route of this kind may refuse."""
    parameters = operation.get("parameters", ())
    found = {503}
    if not operation.get("x-public"):
        found |= {401, 403}
    if any(parameter["in"] == "path" for parameter in parameters):
        found.add(404)
    if method in UNSAFE:
        found |= {403, 409, 413}
    if "requestBody" in operation:
        found |= {400, 422}
    if parameters:
        found.add(422)
    if any(parameter["name"].lower() == "if-match" for parameter in parameters):
        found.add(412)
    return found
