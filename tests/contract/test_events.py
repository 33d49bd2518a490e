"""The published language: golden files, compatible changes, and the documents made from it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import jsonschema
import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from infra.nats.topology import load as load_topology
from shared.bus.memory import subject_pattern
from shared.contracts import (
    ForgedEventError,
    MalformedEventError,
    UnknownEventTypeError,
    asyncapi,
    bus_subject,
    decode,
    decode_from_bus,
    encode,
    envelope,
    new_event,
)
from shared.contracts.asyncapi import house_types
from shared.contracts.metrics import STREAMS

GOLDEN = Path(__file__).with_name("golden")
TYPES = house_types()
RECORDED = [name for name in TYPES if TYPES[name].PUBLISHERS]
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
HOW_TO_ADD = (
    "Every published event has a golden file: an example as it is on the wire. Write\n"
    "  tests/contract/golden/{name}.json\n"
    "once by hand (indented JSON of the whole envelope, with every field of data), and never change it "
    "afterwards: what was published stays readable. A change that would need it is a v2 beside v1."
)


def golden(name: str) -> Path:
    return GOLDEN / f"{name.removeprefix('vn.press.')}.json"


def wire(name: str) -> bytes:
    """The golden event as compact bytes in its own order of fields: what goes over the bus."""
    example = json.loads(golden(name).read_text(encoding="utf-8"))
    return json.dumps(example, ensure_ascii=False, separators=(",", ":")).encode()


def test_every_event_has_a_golden_file_and_every_golden_file_an_event():
    missing = [name for name in TYPES if not golden(name).exists()]
    assert not missing, "\n".join(HOW_TO_ADD.format(name=golden(n).stem) for n in missing)
    left_over = set(GOLDEN.glob("*.json")) - {golden(name) for name in TYPES}
    assert not left_over, (
        f"{sorted(p.name for p in left_over)}: an event that was published is never taken away or renamed; "
        "bring its class back to shared/contracts."
    )


@pytest.mark.parametrize("name", TYPES)
def test_a_golden_event_survives_the_round_trip_byte_for_byte(name):
    event = decode(wire(name))
    assert type(event.data) is TYPES[name]
    assert encode(event) == wire(name)
    assert decode(encode(event)) == event


def disguised(name: str) -> dict[str, tuple[str, bytes]]:
    """Forgeries of a golden event: what is wrong with it → subject and payload."""
    event = json.loads(wire(name))
    publisher = event["source"].rpartition("/")[2]
    own = bus_subject(name, event["agency"], publisher)
    another = next(type_ for type_ in TYPES if type_.split(".")[2] != name.split(".")[2])

    def told(**changes: object) -> bytes:
        return json.dumps(event | changes, ensure_ascii=False).encode()

    own_only = (
        {}
        if name not in RECORDED
        else {
            "an import": (
                own,
                told(data=event["data"] | {"source_reference": "import:qq-next-month"}),
            ),
            "another's stream": (own, told(data=event["data"] | {"stream": "advertising"})),
            "another publisher": (bus_subject(name, event["agency"], "ads"), told()),
            "another publisher's": (
                bus_subject(name, event["agency"], "ads"),
                told(source="/press-revenue/ads"),
            ),
        }
    )
    return own_only | {
        "another agency's subject": (bus_subject(name, "bao-khac", publisher), told()),
        "another agency in the payload": (own, told(agency="bao-khac")),
        "another service's subject": (bus_subject(another, event["agency"], "ads"), told()),
        "a subject below its own": (f"{own}.x", told()),
        "another source": (own, told(source="/press-revenue/identity")),
        "no source": (own, told(source="")),
        "a version that freezes": (own, told(version=2**60)),
        "a version before the first": (own, told(version=0)),
        "an agency that is a wildcard": (bus_subject(name, ">", publisher), told(agency=">")),
        "an agency of two tokens": (bus_subject(name, "a.b", publisher), told(agency="a.b")),
    }


@pytest.mark.parametrize("name", TYPES)
def test_an_event_is_believed_where_it_belongs_and_nowhere_else(name):
    event = decode(wire(name))
    assert decode_from_bus(wire(name), event.bus_subject) == event
    for wrong, (subject, payload) in disguised(name).items():
        with pytest.raises(ForgedEventError):
            decode_from_bus(payload, subject)
            pytest.fail(wrong)


THEIRS = [(service, stream) for service, streams in STREAMS.items() for stream in streams]


def recorded(name: str, publisher: str, **data: object) -> tuple[bytes, str]:
    """What a credential of ``publisher`` can put on the bus: the payload is whatever it likes, the subject its own."""
    event = json.loads(wire(name))
    event["source"] = f"/press-revenue/{publisher}"
    event["data"] |= data
    return json.dumps(event).encode(), bus_subject(name, event["agency"], publisher)


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize("publisher", STREAMS)
def test_a_publisher_is_believed_about_its_own_streams_and_references_alone(name, publisher):
    for service, stream in [*THEIRS, ("import", "other"), ("", "circulation")]:
        for prefix in (*STREAMS, "import", "", f"{publisher} ", publisher.upper()):
            message = recorded(name, publisher, stream=stream, source_reference=f"{prefix}:x")
            if (service, prefix) == (publisher, publisher):
                assert decode_from_bus(*message).publisher == publisher
                continue
            with pytest.raises(ForgedEventError, match=f"{publisher} may not say it"):
                decode_from_bus(*message)
                pytest.fail(f"{stream} {prefix}")


@pytest.mark.parametrize("name", RECORDED)
def test_nobody_is_believed_on_the_subject_of_another_publisher(name):
    for publisher in STREAMS:
        payload, subject = recorded(name, publisher)
        others = [s for s in (*STREAMS, "metrics", "paywall", "") if s != publisher]
        for other in others:
            with pytest.raises(ForgedEventError):
                decode_from_bus(payload, bus_subject(name, json.loads(payload)["agency"], other))
        with pytest.raises(ForgedEventError):  # as it was before publishers stood in the subject
            decode_from_bus(payload, subject.replace(f".{publisher}.", "."))
    for other in ("metrics", "paywall", "identity"):
        with pytest.raises(ForgedEventError, match="comes from"):
            decode_from_bus(*recorded(name, other))


def test_a_service_cannot_record_what_is_anothers():
    with pytest.raises(ForgedEventError, match="may not say it"):
        new_event(decode(wire(RECORDED[0])).data, agency="a", subject="s", now=NOW, publisher="ads")


@pytest.mark.parametrize("name", TYPES)
def test_a_new_event_says_what_it_was_given_and_by_itself_who_when_and_which(name):
    data = decode(wire(name)).data
    publisher = {"publisher": "billing"} if TYPES[name].PUBLISHERS else {}
    given_now = NOW.astimezone(timezone(timedelta(hours=7)))
    made = [new_event(data, agency="a", subject="s", now=given_now, **publisher) for _ in range(2)]
    event = made[0]
    own = "billing" if publisher else name.split(".")[2]
    assert (event.type, event.source) == (name, f"/press-revenue/{own}")
    assert (event.agency, event.subject, event.version, event.data) == ("a", "s", 1, data)
    assert event.time == NOW and event.time.tzinfo is UTC
    assert event.id.version == 7 and made[1].id != event.id
    told = new_event(
        data, agency="a", subject="s", version=7, now=NOW, event_id=UUID(int=5), **publisher
    )
    assert (told.id, told.version) == (UUID(int=5), 7)
    assert decode_from_bus(encode(told), told.bus_subject) == told


def test_a_name_is_published_once_and_from_then_on_read(monkeypatch):
    monkeypatch.setattr(envelope, "_PAYLOADS", {})
    monkeypatch.setattr(envelope, "_DECODERS", {})

    @envelope.event_type("billing.thing.done.v1")
    class Done(envelope.Payload, frozen=True, kw_only=True):
        count: int

    assert Done.TYPE == "vn.press.billing.thing.done.v1"
    assert envelope.published_types() == {Done.TYPE: Done}
    event = new_event(Done(count=3), agency="a", subject="s", now=NOW)
    assert decode(encode(event)) == event
    with pytest.raises(
        ValueError, match=r"^vn\.press\.billing\.thing\.done\.v1 is already published$"
    ):
        envelope.event_type("billing.thing.done.v1")(Done)


@pytest.mark.parametrize("version", [1, 2**31 - 1])
def test_the_bounds_of_a_version_are_taken(version):
    event = json.loads(wire(next(iter(TYPES)))) | {"version": version}
    message = json.dumps(event).encode()
    assert decode_from_bus(message, decode(message).bus_subject).version == version


@pytest.mark.parametrize("name", TYPES)
def test_a_golden_event_shows_every_field(name):
    shown = set(json.loads(wire(name))["data"])
    fields = {field.name for field in msgspec.structs.fields(TYPES[name])}
    assert shown == fields, (
        f"{golden(name).name} must show every field of {TYPES[name].__name__}. A new field needs a default, and is "
        "the one thing that may be added to a golden file."
    )


@pytest.mark.parametrize("name", TYPES)
def test_fields_added_by_a_newer_publisher_are_ignored(name):
    example = json.loads(wire(name))
    example["data"]["added_later"] = {"deep": [1, 2]}
    example["added_to_the_envelope"] = "x"
    assert decode(json.dumps(example).encode()) == decode(wire(name))


@pytest.mark.parametrize("name", TYPES)
def test_a_missing_field_is_refused_by_name(name):
    for field in msgspec.structs.fields(TYPES[name]):
        example = json.loads(wire(name))
        del example["data"][field.name]
        raw = json.dumps(example).encode()
        if field.required:
            with pytest.raises(MalformedEventError, match=field.name):
                decode(raw)
        else:
            assert getattr(decode(raw).data, field.name) == field.default


@pytest.mark.parametrize("field", ["id", "source", "time", "agency", "subject", "version", "data"])
def test_a_missing_part_of_the_envelope_is_refused_by_name(field):
    example = json.loads(wire(next(iter(TYPES))))
    del example[field]
    with pytest.raises(MalformedEventError, match=field):
        decode(json.dumps(example).encode())


@pytest.mark.parametrize("name", TYPES)
def test_an_instant_without_a_zone_is_refused(name):
    naive = "2026-11-23T08:00:00"
    example = json.loads(wire(name))
    with pytest.raises(MalformedEventError, match="time"):
        decode(json.dumps(example | {"time": naive}).encode())
    for field in [key for key, value in example["data"].items() if "T01:00:00Z" in str(value)]:
        changed = example | {"data": example["data"] | {field: naive}}
        with pytest.raises(MalformedEventError, match=field):
            decode(json.dumps(changed).encode())


@pytest.mark.parametrize("name", TYPES)
def test_an_amount_of_money_is_a_whole_number_on_the_wire(name):
    for field in msgspec.structs.fields(TYPES[name]):
        if field.type is int:
            example = json.loads(wire(name))
            for wrong in (1.5, "12", True):
                example["data"][field.name] = wrong
                with pytest.raises(MalformedEventError, match=field.name):
                    decode(json.dumps(example).encode())


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda t: t.encode()))
def test_no_bytes_bring_the_decoder_down(raw):
    with pytest.raises((MalformedEventError, UnknownEventTypeError)):
        decode(raw)


@given(st.sampled_from(sorted(TYPES)), st.integers(0, 2000), st.integers(0, 255))
def test_a_damaged_event_is_an_event_or_an_error_and_nothing_else(name, position, byte):
    raw = bytearray(wire(name))
    raw[position % len(raw)] = byte
    try:
        event = decode(bytes(raw))
    except (MalformedEventError, UnknownEventTypeError):
        return
    assert isinstance(event.id, UUID)


def test_deep_nesting_is_refused():
    with pytest.raises((MalformedEventError, UnknownEventTypeError)):
        decode(b'{"type":"x","data":' + b"[" * 100_000)


@pytest.mark.parametrize("name", TYPES)
def test_every_event_is_taken_by_exactly_one_stream(name):
    subject = decode(wire(name)).bus_subject
    takers = [
        stream["name"]
        for stream in load_topology().streams
        if any(subject_pattern(pattern).fullmatch(subject) for pattern in stream["subjects"])
    ]
    assert len(takers) == 1, f"{subject} is taken by {takers}: see infra/nats/topology.toml"


def test_every_name_follows_the_convention():
    for name in TYPES:
        words = name.split(".")
        assert words[:2] == ["vn", "press"], name
        assert len(words) == 6, f"{name}: vn.press.<service>.<noun>.<past verb>.v<n>"
        assert words[5][0] == "v" and words[5][1:].isdigit(), name


def test_the_documents_say_what_the_contracts_say(tmp_path):
    for made in asyncapi.write(tmp_path):
        kept = asyncapi.FOLDER / made.name
        assert kept.exists() and kept.read_text(encoding="utf-8") == made.read_text(
            encoding="utf-8"
        ), f"docs/events/{made.name} is out of date: run `{asyncapi.COMMAND}` and commit it"


def test_the_asyncapi_document_describes_the_golden_events():
    document = yaml.safe_load(asyncapi.asyncapi_yaml())
    assert document == json.loads(json.dumps(asyncapi.document()))
    assert document["asyncapi"] == "3.0.0"
    for name in TYPES:
        key = name.removeprefix("vn.press.").replace(".", "_")
        message = document["components"]["messages"][key]
        jsonschema.validate(json.loads(wire(name)), message["payload"])
        example = json.loads(wire(name))
        del example["data"]
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(example, message["payload"])
        reference = document["channels"][key]["messages"][key]["$ref"]
        assert reference == f"#/components/messages/{key}"


def test_dates_and_instants_come_back_as_what_they_were():
    for name in TYPES:
        data = decode(wire(name)).data
        for field in msgspec.structs.fields(TYPES[name]):
            value = getattr(data, field.name)
            if isinstance(value, datetime):
                assert value.utcoffset() == timedelta(0)
            if field.type is date:
                assert type(value) is date
