"""Traces that cross the bus: W3C ``traceparent`` is kept in the outbox row and in the message's headers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()
_TRACER = trace.get_tracer("press-revenue")


def configure_tracing(service: str, *, sample_ratio: float) -> None:
    """Install the tracer. Exporters are added by the operator's OpenTelemetry environment."""
    trace.set_tracer_provider(
        TracerProvider(
            resource=Resource.create({"service.name": service}),
            sampler=ParentBased(TraceIdRatioBased(sample_ratio)),
        )
    )


def inject_headers() -> dict[str, str]:
    """``traceparent`` of the current span, or nothing outside of one."""
    headers: dict[str, str] = {}
    _PROPAGATOR.inject(headers)
    return headers


@contextmanager
def span(name: str, *, traceparent: str = "") -> Iterator[Span]:
    """A span for one piece of work, child of ``traceparent`` when given."""
    context = _PROPAGATOR.extract({"traceparent": traceparent}) if traceparent else None
    with _TRACER.start_as_current_span(name, context=context, kind=SpanKind.SERVER) as current:
        yield current


@contextmanager
def consume_span(consumer: str, headers: dict[str, str]) -> Iterator[Span]:
    """A span for handling a message, child of the span that recorded the event."""
    context = _PROPAGATOR.extract(headers)
    with _TRACER.start_as_current_span(
        f"consume {consumer}", context=context, kind=SpanKind.CONSUMER
    ) as current:
        yield current
