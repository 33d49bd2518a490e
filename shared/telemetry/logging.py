"""Structured logs. Secrets and personal data do not belong in them: a processor drops the known keys."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog
from opentelemetry import trace

_SECRET_KEY = re.compile(
    r"password|secret|token|api_?key|authorization|cookie|(?<![a-z])card(?![a-z]|_id)|(?<![a-z])otp",
    re.I,
)
_NO_CARD = re.compile(r"rate_?card", re.I)
#: Secrets by their look, wherever they stand: keys of Stripe and our own, signed tokens, passwords in addresses.
#: Each begins where a word does and never inside one, so that a line of any length is looked at once (linear).
_SECRET_VALUES = (
    (re.compile(r"\b(sk|rk|whsec|prk)_[A-Za-z0-9_-]{6,}"), r"\1_[redacted]"),
    (
        re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"),
        "[redacted token]",
    ),
    (
        re.compile(r"((?<![a-zA-Z0-9+.-])[a-z][a-z0-9+.-]{0,30}://[^\s/:@]*):[^\s/@]+@"),
        r"\1:[redacted]@",
    ),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.I), r"\1 [redacted]"),
)
REDACTED = "[redacted]"


def _clean(key: str, value: Any) -> Any:
    if _SECRET_KEY.search(_NO_CARD.sub("", key)):
        return REDACTED
    if isinstance(value, str):
        for pattern, replacement in _SECRET_VALUES:
            value = pattern.sub(replacement, value)
        return value
    if isinstance(value, Mapping):
        return {name: _clean(str(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", item) for item in value]
    return value


def redacted(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields without secrets: by the look of their names, and of their values."""
    return {name: _clean(str(name), value) for name, value in fields.items()}


def _redact(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        event[key] = _clean(key, value)
    return event


def _trace_ids(
    _logger: Any, _name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = format(context.trace_id, "032x")
    return event


def configure_logging(service: str, *, level: str = "INFO", fmt: str = "json") -> None:
    """One line an event on standard error, from structlog and the standard library alike."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _trace_ids,
    ]
    # Redaction comes last before the line is made: messages and tracebacks of libraries hold secrets too.
    as_json = [_redact, structlog.processors.JSONRenderer()]
    as_text = [
        _redact,
        structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        ),
    ]
    renderer: list[Any] = [
        structlog.processors.format_exc_info,
        *(as_json if fmt == "json" else as_text),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("uvicorn.access", "httpx", "httpcore", "nats", "stripe", "fontTools", "fpdf"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(service=service)
