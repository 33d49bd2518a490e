"""Checks JSON against the Stripe SDK's own typed annotations, all the way down.

The SDK's classes describe every field of the API version it pins. ``problems`` walks an answer
beside its class and names whatever does not fit: a field the class does not know, a wrong type,
null where the class promises a value, a promised field that is missing, or a word that is not
among an enumeration's. The SDK writes open enumerations as ``Union[Literal[...], str]``; here the
words of the ``Literal`` count.
"""

import ast
import functools
import importlib
import inspect
import operator
import sys
import types
import typing
from collections import Counter
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, ForwardRef, Literal, Union, get_args, get_origin

import stripe
from stripe._list_object import ListObject
from stripe._object_classes import get_object_class
from stripe._stripe_object import StripeObject, UntypedStripeObject


def problems(doc: Any) -> list[str]:
    """What is wrong with an answer; empty where it is what the SDK expects."""
    if not isinstance(doc, dict) or "object" not in doc:
        return ["the answer is not an object of Stripe's"]
    return _object(doc, None, doc["object"])


def _object(doc: dict[str, Any], expected: type | None, path: str) -> list[str]:
    if doc["object"] == "list":
        found = _list(doc, None, path)
    else:
        cls = get_object_class("V1", doc["object"])
        if cls is StripeObject:
            return [f"{path}: no class for object {doc['object']!r}"]
        if expected is not None and cls is not expected:
            return [f"{path}: expected {expected.__name__}, got {cls.__name__}"]
        found = _fields(doc, cls, path)
        SEEN[doc["object"]] += 1
    if doc["object"] == "event" and doc["api_version"] in {None, PINNED_VERSION}:
        # An event's data is typed by what it carries, in its own version's shape.
        found += _object(doc["data"]["object"], None, f"{path}.data.object")
    return found


def _list(doc: dict[str, Any], item: Any, path: str) -> list[str]:
    found = [f"{path}: a list has no {name}" for name in doc.keys() - {*LIST_FIELDS}]
    for name, kind in LIST_FIELDS.items():
        if not isinstance(doc.get(name), kind):
            found.append(f"{path}.{name}: expected {kind.__name__}, got {doc.get(name)!r}")
    for at, one in enumerate(doc.get("data", [])):
        where = f"{path}.data[{at}]"
        found += _object(one, None, where) if item is None else _value(one, item, where)
    return found


# How many objects of each kind were held to their class in this process.
SEEN: Counter[str] = Counter()

LIST_FIELDS = {"object": str, "data": list, "has_more": bool, "url": str}


def _fields(doc: dict[str, Any], cls: type, path: str) -> list[str]:
    if doc.get("deleted") is True and set(doc) == {"id", "object", "deleted"}:
        return []
    hints = annotations(cls)
    found = [f"{path}.{name}: {cls.__qualname__} has no such field" for name in doc.keys() - hints]
    for name, hint in hints.items():
        if name in doc:
            found += _value(doc[name], hint, f"{path}.{name}")
        elif not _allows_none(hint):
            found.append(f"{path}.{name}: required by {cls.__qualname__}, missing")
    return found


@cache
def annotations(cls: type) -> dict[str, Any]:
    """A class's fields with every forward reference resolved."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("stripe.") and base not in BASES:
            names = namespace(base.__module__)
            for name, hint in inspect.get_annotations(base).items():
                resolved = _resolve(hint, names)
                if not name.startswith("_") and get_origin(resolved) is not typing.ClassVar:
                    found[name] = resolved
    return found


BASES = {StripeObject}


@cache
def namespace(module: str) -> dict[str, Any]:
    """A module's names, with those it imports only for type checkers."""
    names: dict[str, Any] = {**vars(typing), **vars(sys.modules[module])}
    for node in ast.walk(ast.parse(inspect.getsource(sys.modules[module]))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("stripe"):
            source = importlib.import_module(str(node.module))
            for alias in node.names:
                names.setdefault(alias.asname or alias.name, getattr(source, alias.name))
    return names


def _resolve(hint: Any, names: dict[str, Any]) -> Any:
    if isinstance(hint, str):
        return _resolve(eval(hint, names), names)
    if isinstance(hint, ForwardRef):
        return _resolve(eval(hint.__forward_arg__, names), names)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is None or origin is Literal or origin is typing.ClassVar:
        return hint
    resolved = tuple(_resolve(one, names) for one in arguments)
    if origin in {Union, types.UnionType}:
        return functools.reduce(operator.or_, resolved)
    return types.GenericAlias(origin, resolved)


def _allows_none(hint: Any) -> bool:
    return hint is type(None) or (
        get_origin(hint) in {Union, types.UnionType}
        and any(one is type(None) for one in get_args(hint))
    )


def _value(value: Any, hint: Any, path: str) -> list[str]:
    origin = get_origin(hint)
    if origin in CHECKS:
        return CHECKS[origin](value, get_args(hint), path)
    if isinstance(hint, type) and issubclass(hint, StripeObject):
        return _class(value, hint, path)
    fits = hint is Any or _plain(value, hint)
    return [] if fits else [f"{path}: expected {hint}, got {value!r}"]


def _class(value: Any, hint: type, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: expected {hint.__qualname__}, got {value!r}"]
    # An event's data also has a field named object, which is no word but the object itself.
    if isinstance(value.get("object"), str):
        return _object(value, hint, path)
    return _fields(value, hint, path)


def _word(value: Any, words: tuple[Any, ...], path: str) -> list[str]:
    return [] if value in words else [f"{path}: {value!r} is not one of the words"]


def _array(value: Any, items: tuple[Any, ...], path: str) -> list[str]:
    if not isinstance(value, list):
        return [f"{path}: expected a list, got {value!r}"]
    return [one for at, each in enumerate(value) for one in _value(each, items[0], f"{path}[{at}]")]


def _list_object(value: Any, items: tuple[Any, ...], path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: expected a list object, got {value!r}"]
    return _list(value, items[0], path)


def _union(value: Any, choices: tuple[Any, ...], path: str) -> list[str]:
    if value is None and type(None) in choices:
        return []
    words = [one for one in choices if get_origin(one) is Literal]
    if words and isinstance(value, str):
        # An open enumeration: its words count, not the str beside them.
        choices = tuple(words)
    tried = [_value(value, one, path) for one in choices if one is not type(None)]
    return [] if any(not one for one in tried) else max(tried, key=len)


def _mapping(value: Any, items: tuple[Any, ...], path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: expected a mapping, got {value!r}"]
    return [one for name, each in value.items() for one in _value(each, items[0], f"{path}.{name}")]


def _plain(value: Any, hint: Any) -> bool:
    if hint is Decimal:
        # On the wire a decimal is a string, so that no digit is lost.
        try:
            return isinstance(value, str) and Decimal(value).is_finite()
        except InvalidOperation:
            return False
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(hint, type) and isinstance(value, hint)


def must_fit(doc: Any) -> None:
    """Fail with the list of what does not fit."""
    found = problems(doc)
    if found:
        raise AssertionError("not what the SDK expects:\n" + "\n".join(found))


CHECKS = {
    Union: _union,
    types.UnionType: _union,
    Literal: _word,
    list: _array,
    ListObject: _list_object,
    UntypedStripeObject: _mapping,
}

PINNED_VERSION = stripe.api_version
