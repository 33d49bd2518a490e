"""``docker-compose.yml`` as data: variables put in, merges resolved, defaults filled in, as docker compose would see it.

Only what the file uses is understood; anything else is an error, so that nothing passes unread (the key of a service that is
not in ``KNOWN``, a form of ``${…}`` that docker compose has and this has not).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
COMPOSE_FILE = REPOSITORY / "docker-compose.yml"
VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>[A-Z_][A-Z0-9_]*)(?P<rest>[^}]*)\})")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
KNOWN = frozenset(
    [
        "build",
        "cap_add",
        "cap_drop",
        "command",
        "depends_on",
        "environment",
        "healthcheck",
        "image",
        "logging",
        "mem_limit",
        "networks",
        "pids_limit",
        "ports",
        "profiles",
        "pull_policy",
        "read_only",
        "restart",
        "security_opt",
        "shm_size",
        "stop_grace_period",
        "tmpfs",
        "user",
        "volumes",
    ]
)


class ComposeError(ValueError):
    """The file cannot be read, or a variable that it needs is not set."""


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """``${A}``, ``${A:-else}``, ``${A:?error}`` and ``$$``, as the Compose Specification has them."""

    def one(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        name, rest = match["name"], match["rest"]
        value = variables.get(name, "")
        if rest.startswith(":-"):
            return value or rest[2:]
        if rest.startswith(":?"):
            if not value:
                raise ComposeError(f"{name}: {rest[2:]}")
            return value
        if rest:
            raise ComposeError(
                f"{match[0]}: only ${{A}}, ${{A:-else}} and ${{A:?error}} are used here"
            )
        return value

    return VARIABLE.sub(one, text)


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return interpolate(value, variables)
    if isinstance(value, dict):
        return {key: _filled(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, variables) for item in value]
    return value


def seconds(duration: str | int | None, default: float) -> float:
    """``1m30s`` → 90.0"""
    if duration is None:
        return default
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", str(duration))
    if not parts:
        raise ComposeError(f"{duration!r} is not a duration")
    return sum(float(number) * UNITS[unit] for number, unit in parts)


@dataclass(frozen=True)
class HealthCheck:
    """A command inside the container, and how often it is tried."""

    command: tuple[str, ...]
    interval: float
    timeout: float
    retries: int
    start_period: float


@dataclass(frozen=True)
class Volume:
    """A named volume or a path of the host (``source`` begins with ``.`` or ``/``) at ``target``."""

    source: str
    target: str
    read_only: bool

    @property
    def named(self) -> bool:
        return not self.source.startswith((".", "/"))


@dataclass(frozen=True)
class Service:
    """One container."""

    name: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    user: str
    read_only: bool
    tmpfs: tuple[str, ...]
    volumes: tuple[Volume, ...]
    networks: tuple[str, ...]
    ports: tuple[str, ...]
    profiles: tuple[str, ...]
    depends_on: Mapping[str, str]  # name → condition
    health: HealthCheck | None
    cap_drop: tuple[str, ...]
    cap_add: tuple[str, ...]
    security_opt: tuple[str, ...]
    restart: str
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def ours(self) -> bool:
        return self.image.startswith("press-revenue:")

    @property
    def once(self) -> bool:
        """A step that runs to its end."""
        return self.restart == "no"


@dataclass(frozen=True)
class Project:
    """Everything in the file that the chosen profiles start."""

    services: Mapping[str, Service]
    networks: Mapping[str, Mapping[str, Any]]
    volumes: tuple[str, ...]


def _health(raw: Mapping[str, Any] | None) -> HealthCheck | None:
    if raw is None or raw.get("disable"):
        return None
    kind, *command = raw["test"]
    if kind != "CMD":
        raise ComposeError("health checks are CMD: no shell in between")
    return HealthCheck(
        tuple(command),
        seconds(raw.get("interval"), 30.0),
        seconds(raw.get("timeout"), 30.0),
        int(raw.get("retries", 3)),
        seconds(raw.get("start_period"), 0.0),
    )


def _volume(text: str) -> Volume:
    source, target, *mode = text.split(":")
    return Volume(source, target, mode == ["ro"])


def _dependencies(raw: Mapping[str, Any]) -> dict[str, str]:
    return {name: one["condition"] for name, one in raw.items()}


def _service(name: str, raw: Mapping[str, Any]) -> Service:
    unknown = set(raw) - KNOWN
    if unknown:
        raise ComposeError(f"{name}: {sorted(unknown)} is not understood here")
    return Service(
        name=name,
        image=raw["image"],
        command=tuple(map(str, raw["command"])) if "command" in raw else (),
        environment={key: str(value) for key, value in raw.get("environment", {}).items()},
        user=raw.get("user", ""),
        read_only=bool(raw.get("read_only")),
        tmpfs=tuple(raw.get("tmpfs", ())),
        volumes=tuple(map(_volume, raw.get("volumes", ()))),
        networks=tuple(raw.get("networks", ("default",))),
        ports=tuple(raw.get("ports", ())),
        profiles=tuple(raw.get("profiles", ())),
        depends_on=_dependencies(raw.get("depends_on", {})),
        health=_health(raw.get("healthcheck")),
        cap_drop=tuple(raw.get("cap_drop", ())),
        cap_add=tuple(raw.get("cap_add", ())),
        security_opt=tuple(raw.get("security_opt", ())),
        restart=str(raw.get("restart", "no")),
        raw=raw,
    )


def load(
    variables: Mapping[str, str],
    *,
    profiles: frozenset[str] = frozenset(),
    path: Path = COMPOSE_FILE,
) -> Project:
    """The project with these variables. Raises :class:`ComposeError`."""
    data = _filled(yaml.safe_load(path.read_text(encoding="utf-8")), variables)
    every = {name: _service(name, raw) for name, raw in data["services"].items()}
    services = {
        name: one for name, one in every.items() if not one.profiles or profiles & set(one.profiles)
    }
    missing = {
        f"{name} → {other}"
        for name, one in services.items()
        for other in one.depends_on
        if other not in services
    }
    if missing:
        raise ComposeError(f"depends on what does not start: {sorted(missing)}")
    return Project(services, data.get("networks") or {}, tuple(data.get("volumes") or ()))


def waves(project: Project) -> list[list[str]]:
    """Names in starting order: everything a service depends on is in an earlier wave. Raises :class:`ComposeError`."""
    left, done, result = dict(project.services), set[str](), list[list[str]]()
    while left:
        wave = [name for name, one in left.items() if done.issuperset(one.depends_on)]
        if not wave:
            raise ComposeError(f"a circle among {sorted(left)}")
        result.append(wave)
        done.update(wave)
        left = {name: one for name, one in left.items() if name not in done}
    return result
