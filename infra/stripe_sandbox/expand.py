"""``expand[]``: replace ids by the objects they stand for."""

from .errors import StripeError, invalid
from .scope import Scope
from .store import Doc

DEEPEST = 4


def expand(scope: Scope, doc: Doc, paths: list[str]) -> Doc:
    """The same object with the asked-for fields in full."""
    for path in paths:
        parts = path.split(".")
        if len(parts) > DEEPEST:
            raise invalid(f"You cannot expand more than {DEEPEST} levels.", param="expand")
        _walk(scope, doc, parts, path)
    return doc


def _refuse(path: str) -> StripeError:
    return invalid(f"This property cannot be expanded ({path}).", param="expand")


def _walk(scope: Scope, node: Doc, parts: list[str], path: str) -> None:
    name, rest = parts[0], parts[1:]
    if name not in node:
        raise _refuse(path)
    value = node[name]
    if isinstance(value, str):
        found = scope.find(value)
        if found is None or name == "id":
            raise _refuse(path)
        node[name] = value = found
    elif isinstance(value, list):
        _each(scope, node, name, rest, path)
        return
    elif value is not None and not isinstance(value, dict):
        raise _refuse(path)
    if rest and isinstance(value, dict):
        _walk(scope, value, rest, path)


def _each(scope: Scope, node: Doc, name: str, rest: list[str], path: str) -> None:
    for at, entry in enumerate(node[name]):
        found = scope.find(entry) if isinstance(entry, str) else entry
        if found is None:
            raise _refuse(path)
        node[name][at] = found
        if rest:
            _walk(scope, found, rest, path)
