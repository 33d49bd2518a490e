"""What one process, or the several web processes of one service together, answer at ``/metrics``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    ProcessCollector,
    generate_latest,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector

from shared.telemetry import metrics
from shared.telemetry.families import families_in

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # the library's own name for it


def keep_values_in_files(folder: Path, slot: int) -> None:
    """From now on this process keeps its values beside its siblings', under its place among them.

    A place outlives the process: who takes it after a crash counts on from there, so that no counter falls. To be called
    before the first metric is made.
    """
    os.environ[FOLDER_VARIABLE] = str(folder)
    of_this_slot: Any = values.MultiProcessValue
    values.ValueClass = of_this_slot(process_identifier=lambda: slot)


def forget_gauges(folder: Path, slot: int) -> None:
    """A process has ended: what it last said about the present is no longer true (what it counted is)."""
    for file in folder.glob(f"gauge_*_{slot}.db"):
        file.unlink(missing_ok=True)


class Exposition:
    """The families of a service and those every process has; nothing that other services declare."""

    def __init__(self, modules: Iterable[ModuleType] = ()) -> None:
        self._registry = CollectorRegistry()
        families = [
            family
            for module in dict.fromkeys((metrics, *modules))
            for family in families_in(module)
        ]
        made = [family.made() for family in families]
        folder = os.environ.get(FOLDER_VARIABLE, "")
        if folder:
            # All processes' values, of whichever process is asked. Memory and such are each one's own and left out.
            of_all: Any = MultiProcessCollector
            of_all(self._registry, path=folder)
            return
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        for metric in made:
            self._registry.register(metric)

    def page(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry)
