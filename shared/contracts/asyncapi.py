"""The AsyncAPI 3.0 document of every published event, made from the contracts themselves.

``python -m shared.contracts.asyncapi`` writes ``docs/events/asyncapi.yaml`` and ``docs/events/README.md``; a test fails
when they no longer say what the contracts say. (https://www.asyncapi.com/docs/reference/specification/v3.0.0)
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from shared.contracts import CONTENT_TYPE, Payload, bus_subject, published_types
from shared.contracts.envelope import TYPE_PREFIX

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "events"
COMMAND = "python -m shared.contracts.asyncapi"

_ENVELOPE: dict[str, tuple[dict[str, Any], str]] = {
    "id": (
        {"type": "string", "format": "uuid"},
        "Unique for the event; readers drop a second copy.",
    ),
    "source": ({"type": "string"}, "Who says it: /press-revenue/<service>."),
    "type": ({"type": "string"}, "The event's name and version."),
    "time": ({"type": "string", "format": "date-time"}, "When it happened (UTC)."),
    "agency": ({"type": "string"}, "The agency it belongs to (a slug)."),
    "subject": ({"type": "string"}, "The aggregate it is about."),
    "version": (
        {"type": "integer"},
        "The aggregate's version: an older one never overwrites newer.",
    ),
    "specversion": ({"const": "1.0"}, "CloudEvents 1.0."),
    "datacontenttype": ({"const": "application/json"}, "The format of data."),
}


def house_types() -> dict[str, type[Payload]]:
    """The product's events, by name (tests may register their own beside them)."""
    return {
        name: payload
        for name, payload in sorted(published_types().items())
        if payload.__module__.startswith("shared.contracts.")
    }


def _says(payload: type[Payload]) -> str:
    return inspect.cleandoc(payload.__doc__ or "")


def _data_schema(payload: type[Payload]) -> dict[str, Any]:
    """The JSON schema of an event's data, without references."""
    (schema,), components = msgspec.json.schema_components([payload])
    schema = components[schema["$ref"].rsplit("/", 1)[-1]]
    return {
        "type": "object",
        "description": _says(payload),
        "required": schema.get("required", []),
        "properties": schema["properties"],
    }


def _message(name: str, payload: type[Payload]) -> dict[str, Any]:
    properties = {key: {**schema, "description": text} for key, (schema, text) in _ENVELOPE.items()}
    properties["type"] = {"const": name, "description": _ENVELOPE["type"][1]}
    return {
        "name": name,
        "title": payload.__name__,
        "summary": _says(payload).splitlines()[0],
        "contentType": CONTENT_TYPE,
        "headers": {
            "type": "object",
            "properties": {
                "Nats-Msg-Id": {"type": "string", "description": "The event's id."},
                "traceparent": {"type": "string", "description": "W3C trace context."},
            },
        },
        "payload": {
            "type": "object",
            "required": [*_ENVELOPE, "data"],
            "properties": {**properties, "data": _data_schema(payload)},
        },
    }


def _parameters(payload: type[Payload]) -> dict[str, Any]:
    agency = {"agency": {"description": "The agency's id (a slug)."}}
    if not payload.PUBLISHERS:
        return agency
    return {
        "publisher": {
            "description": "The service that publishes it.",
            "enum": list(payload.PUBLISHERS),
        }
    } | agency


def _key(name: str) -> str:
    return name.removeprefix(TYPE_PREFIX).replace(".", "_")


def document() -> dict[str, Any]:
    """The AsyncAPI document."""
    types = house_types()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "press-revenue events",
            "version": "1",
            "description": "CloudEvents 1.0, structured JSON, on NATS JetStream. Additive changes only; "
            "anything else is a v2 beside v1. Delivered at least once, in the order of the aggregate's version.",
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {
            _key(name): {
                "address": bus_subject(name, "{agency}", "{publisher}"),
                "parameters": _parameters(payload),
                "messages": {_key(name): {"$ref": f"#/components/messages/{_key(name)}"}},
            }
            for name, payload in types.items()
        },
        "operations": {
            f"publish_{_key(name)}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{_key(name)}"},
                "messages": [{"$ref": f"#/channels/{_key(name)}/messages/{_key(name)}"}],
            }
            for name in types
        },
        "components": {
            "messages": {_key(name): _message(name, payload) for name, payload in types.items()}
        },
    }


def _yaml(value: Any, depth: int = 0) -> list[str]:
    """JSON-compatible YAML: block style for containers, JSON for scalars (YAML 1.2 contains JSON)."""
    pad = "  " * depth
    lines: list[str] = []
    if isinstance(value, dict):
        for key, item in value.items():
            name = (
                key if key.replace("_", "").isalnum() and not key[0].isdigit() else json.dumps(key)
            )
            if isinstance(item, dict | list) and item:
                lines += [f"{pad}{name}:", *_yaml(item, depth + 1)]
            else:
                lines.append(f"{pad}{name}: {json.dumps(item, ensure_ascii=False)}")
        return lines
    for item in value:
        if isinstance(item, dict | list) and item:
            first, *rest = _yaml(item, depth + 1)
            lines += [f"{pad}- {first.strip()}", *rest]
        else:
            lines.append(f"{pad}- {json.dumps(item, ensure_ascii=False)}")
    return lines


def asyncapi_yaml() -> str:
    return "\n".join([f"# Generated: {COMMAND}", *_yaml(document())]) + "\n"


def _type_name(hint: Any) -> str:
    text = getattr(hint, "__name__", None) if isinstance(hint, type) else None
    return text or str(hint).replace("typing.", "").replace("datetime.", "").replace("uuid.", "")


def readme() -> str:
    """The same for people."""
    lines = [
        f"<!-- Generated: {COMMAND} -->",
        "# Events",
        "",
        "What the services publish, as CloudEvents 1.0 on NATS JetStream; machine-readable in "
        "[asyncapi.yaml](asyncapi.yaml). Fields may be added; anything else is a new version beside the old one.",
        "",
    ]
    publisher = ""
    for name, payload in house_types().items():
        short = name.removeprefix(TYPE_PREFIX)
        if short.split(".")[0] != publisher:
            publisher = short.split(".")[0]
            lines += [f"## {publisher}", ""]
        subject = f"Subject: `{bus_subject(name, '<agency>', '<publisher>')}`"
        if payload.PUBLISHERS:
            subject += f" (publisher: {', '.join(payload.PUBLISHERS)})"
        lines += [f"### {short}", "", _says(payload), "", subject, ""]
        lines += ["| field | type | needed |", "|---|---|---|"]
        hints = get_type_hints(payload, include_extras=False)
        for item in msgspec.structs.fields(payload):
            kind = _type_name(hints[item.name]).replace("|", "\\|")
            lines.append(f"| `{item.name}` | {kind} | {'yes' if item.required else 'no'} |")
        lines.append("")
    return "\n".join(lines)


def write(folder: Path = FOLDER) -> list[Path]:
    """Write both documents; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {folder / "asyncapi.yaml": asyncapi_yaml(), folder / "README.md": readme()}
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")
    return list(made)


if __name__ == "__main__":
    for written in write():
        sys.stdout.write(f"{written}\n")
