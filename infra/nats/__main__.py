"""``python -m infra.nats``: ``apply`` makes streams and consumers what the data says; ``keep`` makes again what is lost."""

from __future__ import annotations

import asyncio
import os
from typing import TypedDict

import typer

from infra.nats import streams
from infra.nats.server import deployed_config
from shared.bus import BusUnavailableError
from shared.command_line import command_line
from shared.settings import AUTHORITIES, IN_THE_CLEAR
from shared.startup import EXIT_CONFIGURATION
from shared.startup.load import no_authorities
from shared.startup.rules import bus_in_the_clear

KEEP_SECONDS = 5.0

app = command_line("nats", about="NATS streams and consumers")


class Server(TypedDict):
    url: str
    ca_file: str
    replicas: int | None


def server() -> Server:
    """NATS_URL, NATS_CA_FILE, NATS_REPLICAS. Ends the command where the set-up's password would leave the machine in the clear."""
    url = os.environ.get("NATS_URL", "nats://127.0.0.1:4222")
    ca_file = os.environ.get("NATS_CA_FILE", "")
    wrong = [("NATS_URL", IN_THE_CLEAR)] if bus_in_the_clear(url) else []
    wrong += [("NATS_CA_FILE", AUTHORITIES)] if no_authorities(ca_file) else []
    replicas = os.environ.get("NATS_REPLICAS") or "0"
    if not replicas.isdecimal():
        wrong.append(("NATS_REPLICAS", "a number: 1, or 3 where NATS is a cluster"))
    if wrong:
        for variable, right in wrong:
            typer.echo(f"{variable}  {right}", err=True)
        raise typer.Exit(EXIT_CONFIGURATION)
    return {
        "url": url,
        "ca_file": ca_file,
        "replicas": int(replicas) or None,
    }


@app.command()
def apply() -> None:
    """Create or update streams and consumers."""
    for line in asyncio.run(streams.apply(**server())):
        typer.echo(line)


@app.command()
def keep() -> None:
    """Look every few seconds, and make again what the server has lost; until told to stop."""
    asyncio.run(_keep(server()))


async def _keep(at: Server) -> None:
    while True:
        try:
            made = await streams.make_missing(**at)
        except BusUnavailableError as error:
            typer.echo(str(error), err=True)
        else:
            if made:
                typer.echo(f"NATS had lost {', '.join(made)}: made again")
        await asyncio.sleep(KEEP_SECONDS)


@app.command()
def check() -> None:
    """End with 1 when streams or consumers are missing, and name them."""
    gone = asyncio.run(streams.make_missing(**server(), dry_run=True))
    if gone:
        typer.echo(f"missing: {', '.join(gone)}", err=True)
        raise typer.Exit(1)


@app.command("server-config")
def server_config() -> None:
    """Print nats-server's configuration for a deployment: users and their rights, passwords from its environment."""
    typer.echo(deployed_config(), nl=False)


if __name__ == "__main__":
    app()
