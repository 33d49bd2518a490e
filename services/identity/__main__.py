"""``python -m services.identity web|migrate|seed``."""

from services.identity.app import web
from services.identity.process import IDENTITY
from services.identity.seed import run as seed
from shared.cli import service_cli

cli = service_cli(IDENTITY, web=web, seed=seed)

if __name__ == "__main__":
    cli()
