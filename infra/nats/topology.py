"""Streams and consumers as ``topology.toml`` names them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOPOLOGY_FILE = Path(__file__).with_name("topology.toml")


@dataclass(frozen=True, slots=True)
class Topology:
    """Streams and consumers with their defaults filled in."""

    streams: tuple[dict[str, Any], ...]
    consumers: tuple[dict[str, Any], ...]


def load(path: Path = TOPOLOGY_FILE) -> Topology:
    """The topology in a file."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    defaults = data["defaults"]
    return Topology(
        tuple(defaults["stream"] | stream for stream in data["streams"]),
        tuple(defaults["consumer"] | consumer for consumer in data["consumers"]),
    )
