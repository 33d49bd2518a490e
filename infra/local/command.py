"""A service's own command in the surroundings of the local run: ``python -m infra.local.command billing dead-letters``.

`make run` gives every process its database, its keys and its addresses; this gives the same to a command beside it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from infra.local import processes as data
from infra.local.local_secrets import load_or_create
from infra.local.run import DEFAULT_BASE_PORT
from infra.local.stack import REPOSITORY
from infra.nats.permissions import user_names

app = typer.Typer(add_completion=False)


@app.command(context_settings={"allow_extra_args": True, "allow_interspersed_args": False})
def command(
    context: typer.Context,
    service: Annotated[str, typer.Argument(help=", ".join(data.PACKAGES))],
    port: Annotated[int, typer.Option(envvar="PRESS_PORT")] = DEFAULT_BASE_PORT,
    data_dir: Annotated[Path, typer.Option(envvar="PRESS_DATA_DIR")] = REPOSITORY / ".local",
    bus_user: Annotated[
        str,
        typer.Option(
            help="Of infra/nats/users.toml; `setup` for rebuild-entitlements. Else the service's worker"
        ),
    ] = "",
) -> None:
    """Become the service's command: its words follow the name, options of this one stand before it."""
    words, environment = surrounded(service, context.args, port, data_dir, bus_user)
    os.chdir(REPOSITORY)
    command = (sys.executable, "-m", *words)
    os.execve(sys.executable, command, {**os.environ, **environment})  # noqa: S606 - a shell is what it does without


def surrounded(
    service: str, arguments: Sequence[str], port: int, data_dir: Path, bus_user: str = ""
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The words after ``python -m``, and what the local run adds to their environment. Raises ``typer.BadParameter``."""
    if service not in data.PACKAGES:
        raise typer.BadParameter(f"there are {', '.join(data.PACKAGES)}", param_hint="service")
    if not (data_dir / "secrets.json").exists():
        raise typer.BadParameter(
            f"{data_dir} holds no local run: `make run` makes it", param_hint="data-dir"
        )
    if bus_user and bus_user not in user_names():
        raise typer.BadParameter(f"there are {', '.join(user_names())}", param_hint="bus-user")
    secrets = load_or_create(data_dir / "secrets.json", data.DATABASES)
    surroundings = data.Surroundings(port, data_dir, data_dir / "assets", secrets)
    words = (data.PACKAGES[service], *arguments)
    worker = f"{service}-worker"
    user = bus_user or (worker if worker in data.WORKERS else None)
    # What `make run` does itself, it does with rights and secrets of its own: migrations as the owner, seeds with the demo's.
    known = {step.command[2:]: step for step in data.STEPS}.get(words[:2])
    command = ("python", "-m", *words)
    step = data.StepSpec(" ".join((service, *arguments[:1])), data.STAGES[-1], command, service)
    return words, surroundings.environment(replace(known or step, bus_user=user))


if __name__ == "__main__":
    app()
