"""``python -m infra.nats apply``: one explicit command makes the streams what the data says."""

from __future__ import annotations

import asyncio
import os

import typer

from infra.nats.server import deployed_config
from infra.nats.topology import apply as apply_topology

app = typer.Typer(help="NATS streams and consumers", no_args_is_help=True)


@app.callback()
def main() -> None:
    """NATS streams and consumers."""


@app.command()
def apply() -> None:
    """Create or update streams and consumers (NATS_URL, NATS_CA_FILE, NATS_REPLICAS)."""
    url = os.environ.get("NATS_URL", "nats://127.0.0.1:4222")
    replicas = int(os.environ.get("NATS_REPLICAS", "0")) or None
    ca_file = os.environ.get("NATS_CA_FILE", "")
    for line in asyncio.run(apply_topology(url, ca_file=ca_file, replicas=replicas)):
        typer.echo(line)


@app.command("server-config")
def server_config() -> None:
    """Print nats-server's configuration for a deployment: users and their rights, passwords from its environment."""
    typer.echo(deployed_config(), nl=False)


if __name__ == "__main__":
    app()
