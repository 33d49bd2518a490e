"""The audit trail's rules: what is kept of a value, what a digest covers, how a chain breaks, what a person reads."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import pytest

from shared.audit.actions import OF_NO_AGENCY, RECORDED_BY, Action
from shared.audit.rules import (
    GENESIS,
    LONGEST_LIST,
    LONGEST_TEXT,
    Broken,
    Entry,
    Link,
    changes,
    difference,
    digest,
    first_broken,
    link,
    network_prefix,
    plain,
)

AT = datetime(2026, 11, 26, 8, 30, tzinfo=UTC)
HANOI = timezone(timedelta(hours=7))


def entry(number: int = 1, **fields: object) -> Entry:
    made = Entry(
        id=UUID(int=number),
        at=AT,
        agency="bao-hung-yen",
        action="price.saved",
        actor_kind="staff",
        actor_id="7",
        actor="finance@bao-hung-yen.example",
        subject="plan/doc-bao",
        label="Đọc báo",
        before={"amount": 59_000},
        after={"amount": 69_000, "name": "Gói"},
        request_id="r-1",
        network="203.0.113.0/24",
    )
    return replace(made, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, None),
        (True, True),
        (12, 12),
        (1.5, "1.5"),
        ({"b": {3: None}}, {"b": {"3": None}}),
        ([1, (2, "x")], [1, [2, "x"]]),
        ({"z", "a", "m"}, ["a", "m", "z"]),
        (frozenset({3, 1}), [1, 3]),
        (datetime(2026, 1, 1, 0, 30, tzinfo=HANOI), "2025-12-31T17:30:00+00:00"),
        (date(2026, 1, 1), "2026-01-01"),
        ("a\x00b", "a�b"),
        ("\ud800", "?"),
        ("x" * LONGEST_TEXT, "x" * LONGEST_TEXT),
        ("x" * (LONGEST_TEXT + 1), "x" * LONGEST_TEXT + "…"),
        (list(range(LONGEST_LIST + 5)), list(range(LONGEST_LIST))),
    ],
)
def test_what_is_kept_of_a_value(value: object, kept: object) -> None:
    assert plain(value) == kept


def test_only_the_fields_that_differ_are_kept() -> None:
    before, after = {"a": 1, "b": 2, "gone": 3}, {"a": 1, "b": 4, "new": 5}
    assert difference(before, after) == (
        {"b": 2, "gone": 3, "new": None},
        {"b": 4, "gone": None, "new": 5},
    )


def test_a_digest_is_sha256_over_every_field_as_sorted_compact_json() -> None:
    one = entry()
    written = (
        '["00000000-0000-0000-0000-000000000001","2026-11-26T08:30:00+00:00","bao-hung-yen","price.saved",'
        '"staff","7","finance@bao-hung-yen.example","plan/doc-bao","Đọc báo",{"amount":59000},'
        '{"amount":69000,"name":"Gói"},"r-1","203.0.113.0/24"]'
    )
    assert digest(one) == hashlib.sha256(written.encode()).digest()
    assert digest(replace(one, after={"name": "Gói", "amount": 69_000})) == digest(one)
    assert digest(replace(one, at=AT.astimezone(HANOI))) == digest(one)


@pytest.fixture
def machine_in_hanoi(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process's own zone: nothing may depend on it."""
    monkeypatch.setenv("TZ", "Asia/Ho_Chi_Minh")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_digest_and_a_moment_are_the_same_wherever_the_machine_stands(
    machine_in_hanoi: None,
) -> None:
    assert plain(AT) == "2026-11-26T08:30:00+00:00"
    test_a_digest_is_sha256_over_every_field_as_sorted_compact_json()


@pytest.mark.parametrize("field", list(Entry.__dataclass_fields__))
def test_a_digest_changes_with_each_field(field: str) -> None:
    other = {"id": UUID(int=2), "at": AT + timedelta(microseconds=1), "before": None, "after": {}}
    assert digest(replace(entry(), **{field: other.get(field, "other")})) != digest(entry())


def chain(*entries: Entry) -> list[Link]:
    links, previous = [], GENESIS
    for position, one in enumerate(entries, start=1):
        previous = hashlib.sha256(previous + digest(one)).digest()
        links.append(Link(position, one.id, previous, one))
    return links


def test_a_whole_chain_ends_where_its_last_link_does() -> None:
    links = chain(entry(1), entry(2), entry(3))
    assert link(links[0].hash, digest(entry(2))) == links[1].hash
    assert first_broken("bao-hung-yen", links, 0, GENESIS) == (3, links[2].hash)
    assert first_broken("bao-hung-yen", links[1:], 1, links[0].hash) == (3, links[2].hash)
    assert first_broken("bao-hung-yen", [], 5, b"x") == (5, b"x")


def test_the_first_broken_link_is_named_with_what_happened_to_it() -> None:
    links, name = chain(entry(1), entry(2), entry(3)), "bao-hung-yen"

    def broken(*found: Link) -> object:
        return first_broken(name, list(found), 0, GENESIS)

    cut = Broken(name, 2, None, "an entry was cut out")
    assert broken(links[0], links[2]) == cut
    deleted = Broken(name, 2, UUID(int=2), "the entry was deleted")
    assert broken(links[0], replace(links[1], entry=None), links[2]) == deleted
    moved = Broken(name, 2, UUID(int=2), "the entry was moved to another chain")
    assert broken(links[0], replace(links[1], entry=entry(2, agency="other"))) == moved
    assert broken(links[0], replace(links[1], entry=entry(9))) == moved
    changed = Broken(name, 2, UUID(int=2), "the entry or its place was changed")
    assert broken(links[0], replace(links[1], entry=entry(2, label="Khác"))) == changed
    swapped = [replace(links[1], position=1), replace(links[0], position=2)]
    assert broken(*swapped) == Broken(name, 1, UUID(int=2), "the entry or its place was changed")


def test_what_belongs_to_no_agency_has_the_chain_without_a_name() -> None:
    alone = chain(entry(1, agency=None))
    assert first_broken("", alone, 0, GENESIS) == (1, alone[0].hash)
    assert isinstance(first_broken("bao-hung-yen", alone, 0, GENESIS), Broken)


def test_changes_are_read_field_by_field() -> None:
    before = {"price": {"amount": 59_000, "months": 1}, "tags": ["a", "b"], "same": 1, "gone": "x"}
    after = {
        "price": {"amount": 69_000, "months": 1},
        "tags": ["a", "c"],
        "same": 1,
        "rows": [{"n": 1}, {"n": None}],
        "empty": None,
    }
    assert list(changes(before, after)) == [
        ("price.amount", "59000", "69000"),
        ("tags", "a, b", "a, c"),
        ("gone", "x", ""),
        ("rows[1].n", "", "1"),
    ]  # nothing that became nothing is no change
    assert list(changes(None, None)) == []
    assert list(changes({"pairs": [[1, 2], [3]]}, {})) == [
        ("pairs[1]", "1, 2", ""),
        ("pairs[2]", "3", ""),
    ]


@pytest.mark.parametrize(
    ("address", "prefix"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("testclient", ""),
        ("", ""),
    ],
)
def test_an_address_is_kept_as_its_network(address: str, prefix: str) -> None:
    assert network_prefix(address) == prefix


@pytest.mark.parametrize("service", RECORDED_BY)
def test_what_a_trail_may_hold_is_what_the_services_code_records(service):
    root = Path(__file__).parents[2]
    folder = root / ("shared/metrics" if service == "metrics" else f"services/{service}")
    recorded = {
        Action[name]
        for path in (
            *folder.rglob("*.py"),
            root / "shared/agencies.py",
            root / "shared/audit/pages.py",
        )
        for name in re.findall(r"Action\.([A-Z_]+)", path.read_text(encoding="utf-8"))
        if name in Action.__members__
    }
    assert set(RECORDED_BY[service]) == recorded - OF_NO_AGENCY
