"""``python -m services.identity web|migrate|seed``."""

from services.identity.seed import run as seed
from services.identity.settings import IdentitySettings
from shared.cli import service_cli

cli = service_cli(
    "identity",
    "services.identity",
    IdentitySettings,
    web_factory="services.identity.app:create",
    seed=seed,
)

if __name__ == "__main__":
    cli()
