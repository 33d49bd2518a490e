"""``python -m services.identity web|migrate|seed|create-administrator|break-glass``."""

from services.identity import commands
from services.identity.app import web
from services.identity.process import IDENTITY
from services.identity.seed import run as seed
from shared.cli import service_cli

cli = service_cli(IDENTITY, web=web, seed=seed)
commands.install(cli)

if __name__ == "__main__":
    cli()
