"""Metric families that are declared once, at import, and made by the process that uses them.

A process may be forked from a parent that has imported every service, and several web processes of one service keep their
values in files they share. So a module only says what there is; the metric behind it is made at its first use, in the process
that has decided where values are kept, and a process exports the families of its own service only (``exposition``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any, ClassVar, Generic, Literal, TypeVar

import prometheus_client
from prometheus_client.metrics import MetricWrapperBase

M = TypeVar("M", bound=MetricWrapperBase)
#: How the gauges of several web processes become one.
Across = Literal["max", "min", "sum", "mostrecent"]


class Family(Generic[M]):
    """What is known of a metric before there is one."""

    _kind: ClassVar[type[MetricWrapperBase]]

    def __init__(
        self, name: str, documentation: str, labelnames: Sequence[str] = (), **options: Any
    ) -> None:
        self.name = name
        self._arguments = (name, documentation, tuple(labelnames))
        self._options = options
        self._metric: M | None = None

    def made(self) -> M:
        """The metric of this process, in no registry (a process's exposition takes it up)."""
        if self._metric is None:
            metric: Any = self._kind(*self._arguments, registry=None, **self._options)
            self._metric = metric
        return self._metric

    def labels(self, *values: str) -> M:
        return self.made().labels(*values)


class Counter(Family[prometheus_client.Counter]):
    _kind = prometheus_client.Counter

    def inc(self, by: float = 1) -> None:
        self.made().inc(by)


class Gauge(Family[prometheus_client.Gauge]):
    """``across``: which of several web processes' values is told, or their sum. Workers are one process: it is theirs."""

    _kind = prometheus_client.Gauge

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Sequence[str] = (),
        *,
        across: Across = "max",
    ) -> None:
        super().__init__(name, documentation, labelnames, multiprocess_mode=across)

    def set(self, value: float) -> None:
        self.made().set(value)

    def inc(self, by: float = 1) -> None:
        self.made().inc(by)

    def dec(self, by: float = 1) -> None:
        self.made().dec(by)

    def set_to_current_time(self) -> None:
        self.made().set_to_current_time()


class Measured(Gauge):
    """A gauge that one loop keeps looking up. When it cannot, the old value is gone instead of standing for ever: with
    labels the series end, without it is NaN. That the loop fails is told by ``press_loop_…`` itself."""

    def unknown(self) -> None:
        if self._arguments[2]:
            self.made().clear()
        else:
            self.set(math.nan)


class Histogram(Family[prometheus_client.Histogram]):
    _kind = prometheus_client.Histogram

    def observe(self, value: float) -> None:
        self.made().observe(value)


def families_in(module: ModuleType) -> list[Family[Any]]:
    """What a module declares, in its order."""
    return [value for value in vars(module).values() if isinstance(value, Family)]
