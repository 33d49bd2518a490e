"""Reading requests: Stripe's bracketed form encoding, and typed parameters out of it."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .errors import StripeError, invalid, missing, unknown

MAX_METADATA_KEYS = 50
MAX_METADATA_VALUE = 500
MAX_METADATA_NAME = 40


def parse_form(encoded: str) -> dict[str, Any]:
    """``a[b][0][c]=x`` to ``{"a": {"b": [{"c": "x"}]}}``; ``a[]=x`` appends."""
    root: dict[str, Any] = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True, max_num_fields=1000):
        path = name.replace("]", "").split("[")
        node = root
        for part in path[:-1]:
            child = node.setdefault(_key(part, node), {})
            if not isinstance(child, dict):
                raise invalid(f"Invalid nesting of {name}", param=name)
            node = child
        node[_key(path[-1], node)] = value
    tidy = _lists(root)
    return tidy if isinstance(tidy, dict) else {}


def _key(part: str, node: dict[str, Any]) -> str:
    return part if part else str(len(node))


def _lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(name.isdigit() for name in node):
        return [_lists(node[name]) for name in sorted(node, key=int)]
    # Metadata keys are the caller's own words, also where they look like places in a list.
    return {name: value if name == "metadata" else _lists(value) for name, value in node.items()}


class Params:
    """The parameters of one request, or of one object inside it.

    Every reader takes its parameter off the list of what is left; ``finish`` refuses what nobody
    read, so that nothing a caller asks for is silently ignored.
    """

    def __init__(self, values: dict[str, Any], prefix: str = "") -> None:
        self._values = values
        self._prefix = prefix
        self._left = set(values)
        self._children: list[Params] = []

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def peek(self, name: str) -> Any:
        """The raw value, still to be read."""
        return self._values.get(name)

    def path(self, name: str) -> str:
        """The parameter's full name, as it stands in an error."""
        return f"{self._prefix}[{name}]" if self._prefix else name

    def _take(self, name: str) -> Any:
        self._left.discard(name)
        value = self._values.get(name)
        return None if value == "" else value

    def text(
        self, name: str, *, choices: Iterable[str] | None = None, longest: int = 5000
    ) -> str | None:
        """A string, or None where absent or emptied."""
        value = self._take(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise invalid(f"Invalid string: {value}", param=self.path(name))
        if choices is not None and value not in (allowed := sorted(choices)):
            raise invalid(
                f"Invalid {name}: must be one of {', '.join(allowed)}", param=self.path(name)
            )
        if len(value) > longest:
            raise invalid(
                f"Invalid string: must be at most {longest} characters", param=self.path(name)
            )
        return value

    def need(self, name: str, **options: Any) -> str:
        """A string that must be there."""
        value = self.text(name, **options)
        if value is None:
            raise missing(self.path(name))
        return value

    def address(self, name: str) -> str | None:
        """An http or https address, or None where absent."""
        value = self.text(name)
        parts = urlsplit(value or "")
        if value is not None and (parts.scheme not in {"http", "https"} or not parts.hostname):
            raise invalid("Not a valid URL", param=self.path(name), code="url_invalid")
        return value

    def integer(
        self, name: str, *, least: int | None = None, most: int | None = None
    ) -> int | None:
        """A whole number within its bounds."""
        value = self._take(name)
        if value is None:
            return None
        if not isinstance(value, str) or not value.lstrip("-").isascii():
            raise self._not_integer(name, value)
        try:
            number = int(value)
        except ValueError:
            raise self._not_integer(name, value) from None
        if least is not None and number < least:
            raise invalid(
                f"This value must be greater than or equal to {least}.",
                param=self.path(name),
                code="parameter_invalid_integer",
            )
        if most is not None and number > most:
            raise invalid(
                f"This value must be less than or equal to {most}.",
                param=self.path(name),
                code="parameter_invalid_integer",
            )
        return number

    def _not_integer(self, name: str, value: object) -> StripeError:
        return invalid(
            f"Invalid integer: {value}", param=self.path(name), code="parameter_invalid_integer"
        )

    def boolean(self, name: str) -> bool | None:
        """``true`` or ``false``."""
        value = self.text(name, choices=("true", "false"))
        return None if value is None else value == "true"

    def texts(self, name: str) -> list[str] | None:
        """A list of strings."""
        value = self._take(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise invalid("Invalid array", param=self.path(name))
        return [str(one) for one in value]

    def child(self, name: str) -> "Params | None":
        """A nested object."""
        value = self._take(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise invalid("Invalid object", param=self.path(name))
        return self._adopt(value, self.path(name))

    def children(self, name: str) -> "list[Params]":
        """A list of nested objects."""
        value = self._take(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise invalid("Invalid array", param=self.path(name))
        return [self._adopt(one, f"{self.path(name)}[{at}]") for at, one in enumerate(value)]

    def _adopt(self, values: dict[str, Any], prefix: str) -> "Params":
        child = Params(values, prefix)
        self._children.append(child)
        return child

    def metadata(self, current: dict[str, str] | None = None) -> dict[str, str]:
        """``metadata`` merged over what is there: an empty value removes a key, as at Stripe."""
        raw = self._values.get("metadata")
        self._left.discard("metadata")
        if raw == "":
            return {}
        merged = dict(current or {})
        if raw is None:
            return merged
        if not isinstance(raw, dict):
            raise invalid("Invalid object", param=self.path("metadata"))
        for name, value in raw.items():
            if not isinstance(value, str) or len(value) > MAX_METADATA_VALUE:
                raise invalid(
                    f"Metadata values can have up to {MAX_METADATA_VALUE} characters",
                    param=self.path("metadata"),
                )
            if len(name) > MAX_METADATA_NAME:
                raise invalid(
                    f"Metadata keys can have up to {MAX_METADATA_NAME} characters",
                    param=self.path("metadata"),
                )
            merged.pop(name, None)
            if value:
                merged[name] = value
        if len(merged) > MAX_METADATA_KEYS:
            raise invalid(
                f"Metadata can have up to {MAX_METADATA_KEYS} keys", param=self.path("metadata")
            )
        return merged

    def finish(self) -> None:
        """Refuse what nobody read."""
        for name in sorted(self._left):
            raise unknown(self.path(name))
        for child in self._children:
            child.finish()
