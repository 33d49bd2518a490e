"""What an entry's digest covers, how entries chain, and what of a value may be kept. Pure."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

LONGEST_TEXT = 2_000
LONGEST_LIST = 200
GENESIS = b""


@dataclass(frozen=True, slots=True)
class Entry:
    """One act. ``before`` and ``after`` hold what changed, in JSON, without secrets.

    ``subject`` is ``<noun>/<id>``; ``label`` is its name as people knew it then. ``agency`` is None for what belongs to
    no agency (a sign-in, a command over everything). ``network`` is shortened to a prefix.
    """

    id: UUID
    at: datetime
    agency: str | None
    action: str
    actor_kind: str
    actor_id: str
    actor: str
    subject: str
    label: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    request_id: str
    network: str


ENTRY_COLUMNS = tuple(Entry.__dataclass_fields__)


def plain(value: Any) -> Any:
    """A value as JSON that PostgreSQL gives back unchanged: no fraction, no NUL, nothing without an end."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping):
        return {plain(str(name)): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else list(value)
        return [plain(item) for item in items[:LONGEST_LIST]]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    words = str(value).replace("\x00", "�").encode("utf-8", "replace").decode()
    return words if len(words) <= LONGEST_TEXT else f"{words[:LONGEST_TEXT]}…"


def difference(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Only the fields that differ: what they were, and what they are."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {name: before.get(name) for name in names}, {name: after.get(name) for name in names}


def digest(entry: Entry) -> bytes:
    """SHA-256 over every field, in one way of writing."""
    fields = [getattr(entry, name) for name in ENTRY_COLUMNS]
    canonical = [
        str(f) if isinstance(f, UUID) else f.astimezone(UTC).isoformat() if isinstance(f, datetime) else f
        for f in fields
    ]  # fmt: skip
    written = json.dumps(canonical, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(written.encode()).digest()


def link(previous: bytes, entry_digest: bytes) -> bytes:
    """The hash of an entry's place in its chain; ``audit_seal_entry`` in the database computes the same."""
    return hashlib.sha256(previous + entry_digest).digest()


def network_prefix(address: str) -> str:
    """An IPv4 /24 or an IPv6 /48: enough to tell one office from another, too little to tell a person."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    bits = 24 if parsed.version == 4 else 48
    return str(ipaddress.ip_network(f"{parsed}/{bits}", strict=False))


@dataclass(frozen=True, slots=True)
class Link:
    """A seal with the entry it stands for (None: the entry is gone)."""

    position: int
    entry_id: UUID
    hash: bytes
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class Broken:
    """The first place of a chain that is not as it was written."""

    chain: str
    position: int
    entry_id: UUID | None
    reason: str


def first_broken(
    chain: str, links: list[Link], position: int, previous: bytes
) -> Broken | tuple[int, bytes]:
    """Walk on from (position, hash); where the chain ends, or the first link that is wrong."""
    for item in links:
        if item.position != position + 1:
            return Broken(chain, position + 1, None, "an entry was cut out")
        if item.entry is None:
            return Broken(chain, item.position, item.entry_id, "the entry was deleted")
        if (item.entry.agency or "") != chain or item.entry.id != item.entry_id:
            return Broken(
                chain, item.position, item.entry_id, "the entry was moved to another chain"
            )
        if link(previous, digest(item.entry)) != item.hash:
            return Broken(chain, item.position, item.entry_id, "the entry or its place was changed")
        position, previous = item.position, item.hash
    return position, previous


def changes(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> Iterator[tuple[str, str, str]]:
    """(field, was, is) of each field that differs, for a person to read."""
    old, new = dict(_leaves("", before or {})), dict(_leaves("", after or {}))
    for name in {**old, **new}:
        was, now = old.get(name, ""), new.get(name, "")
        if was != now:
            yield name, was, now


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(f"{prefix}.{name}" if prefix else str(name), item)
    elif isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        for number, item in enumerate(value, start=1):
            yield from _leaves(f"{prefix}[{number}]", item)
    elif isinstance(value, list):
        yield prefix, ", ".join(map(str, value))
    else:
        yield prefix, "" if value is None else str(value)
