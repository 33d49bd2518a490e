"""Tells of a security event: a line in the log, and the counter ``press_security_events_total``.

A line names the event, who (an id, never a secret or an address), from which network (shortened), at which route, in which
request. Whoever causes many must not fill the disk: each process writes ``BURST`` lines of one event at once and then one each
``EVERY_SECONDS``; the next line says how many were left out (``untold``), and the counter counts them all.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict

import structlog

from shared.audit.caller import STRANGER, Caller, caller
from shared.errors import ProblemError
from shared.security.events import SecurityEvent
from shared.telemetry import metrics

log = structlog.get_logger(__name__)

BURST = 20
EVERY_SECONDS = 10.0
_AGENCY = re.compile(r"[a-z0-9-]{1,40}")
_ANSWERS = {401: SecurityEvent.UNAUTHENTICATED, 403: SecurityEvent.FORBIDDEN}


class Pace:
    """``BURST`` lines at once, then one each ``EVERY_SECONDS`` (the generic cell rate algorithm: one instant says all)."""

    def __init__(self) -> None:
        self._ahead_until = 0.0
        self._untold = 0

    def take(self, now: float) -> int | None:
        """How many lines were left out since the last one; None when this one is left out too."""
        ahead = max(self._ahead_until, now)
        if ahead - now > (BURST - 1) * EVERY_SECONDS:
            self._untold += 1
            return None
        self._ahead_until = ahead + EVERY_SECONDS
        untold, self._untold = self._untold, 0
        return untold


_paces: defaultdict[tuple[str, SecurityEvent], Pace] = defaultdict(Pace)


def count_from_zero(service: str) -> None:
    """Every event's series, before the first: what appears as 1 is no increase to Prometheus."""
    for event in SecurityEvent:
        metrics.SECURITY_EVENTS.labels(event, service)


def tell(
    event: SecurityEvent,
    *,
    by: Caller | None = None,
    agency: str = "",
    actor: str = "",
    **details: str,
) -> None:
    """``by`` is the present caller by default; ``agency`` and ``actor`` (``kind:id``) where it does not know them."""
    by = by or caller() or Caller()
    by.refusal_told = True
    metrics.SECURITY_EVENTS.labels(event, by.service).inc()
    untold = _paces[by.service, event].take(time.monotonic())
    if untold is None:
        return
    who = by.actor or STRANGER
    wanted = agency or by.agency
    log.warning(
        str(event),
        security=True,
        service=by.service,
        agency=wanted if _AGENCY.fullmatch(wanted) else "",
        actor=actor or f"{who.kind}:{who.id}",
        network=by.network,
        route=by.route,
        request_id=by.request_id,
        untold=untold,
        **{name: value[:200] for name, value in details.items()},
    )


def refused(error: ProblemError, *, by: Caller | None = None) -> None:
    """Tells of an answer that is a security event (``ProblemError.security``)."""
    if error.security is not None:
        tell(error.security, by=by, **error.about)


def expected() -> None:
    """The refusal at hand is the way things go (a question for a fresh proof), and no security event."""
    present = caller()
    if present is not None:
        present.refusal_told = True


def answered(status: int, by: Caller) -> None:
    """Any other 401 or 403, however it was made: none is silent."""
    if status in _ANSWERS and not by.refusal_told:
        tell(_ANSWERS[status], by=by)
