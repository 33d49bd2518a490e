"""Tells of a security event: a line in the log, and the counter ``press_security_events_total``.

A line names the event, who (an id, never a secret or an address), from which network (shortened), at which route, in which
request. Whoever causes many must neither fill the disk nor hide somebody else: each process writes ``BURST`` lines of one event
in one agency from one network at once and then one each ``EVERY_SECONDS``, with a bound for each network and one for all above
(:class:`Paces`); the event's next line says how many were left out (``untold``), and the counter counts them all.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from functools import lru_cache

import structlog

from shared.audit.caller import STRANGER, Caller, caller
from shared.errors import ProblemError
from shared.security.events import SecurityEvent
from shared.telemetry import metrics

log = structlog.get_logger(__name__)

BURST = 20
EVERY_SECONDS = 10.0
NETWORK_BURST = 100
ALL_BURST = 2_000
ALL_EVERY_SECONDS = 0.5
KEPT = 4_096
_AGENCY = re.compile(r"[a-z0-9-]{1,40}")
_ANSWERS = {401: SecurityEvent.UNAUTHENTICATED, 403: SecurityEvent.FORBIDDEN}


class Pace:
    """``burst`` at once, then one each ``every`` seconds (the generic cell rate algorithm: one instant says all)."""

    def __init__(self, burst: int, every: float) -> None:
        self._lead, self._every = (burst - 1) * every, every
        self._ahead_until = 0.0

    def has_room(self, now: float) -> bool:
        return self._ahead_until - now <= self._lead

    def take(self, now: float) -> None:
        self._ahead_until = max(self._ahead_until, now) + self._every


class Paces:
    """A line needs room in three: of its event, agency and network; of its network; of everybody.

    The middle one is there because a stranger makes up agencies as they like. Those least recently used are forgotten:
    somebody gets a fresh start, within what is for all.
    """

    def __init__(self) -> None:
        self._of_one = lru_cache(KEPT)(lambda *key: Pace(BURST, EVERY_SECONDS))
        self._of_network = lru_cache(KEPT)(lambda *key: Pace(NETWORK_BURST, EVERY_SECONDS))
        self._of_all = Pace(ALL_BURST, ALL_EVERY_SECONDS)
        self._untold: Counter[tuple[str, SecurityEvent]] = Counter()

    def take(
        self, service: str, event: SecurityEvent, agency: str, network: str, now: float
    ) -> int | None:
        """How many of the event were left out since its last line; None when this one is left out too."""
        paces = (
            self._of_one(service, event, agency, network),
            self._of_network(service, network),
            self._of_all,
        )
        if not all(pace.has_room(now) for pace in paces):
            self._untold[service, event] += 1
            return None
        for pace in paces:
            pace.take(now)
        return self._untold.pop((service, event), 0)


_paces = Paces()


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
    wanted = agency or by.agency
    wanted = wanted if _AGENCY.fullmatch(wanted) else ""
    untold = _paces.take(by.service, event, wanted, by.network, time.monotonic())
    if untold is None:
        return
    who = by.actor or STRANGER
    log.warning(
        str(event),
        security=True,
        service=by.service,
        agency=wanted,
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
