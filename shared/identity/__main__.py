"""``python -m shared.identity web|migrate|seed``."""

from shared.cli import service_cli
from shared.identity.seed import run as seed
from shared.identity.settings import IdentitySettings

cli = service_cli(
    "identity",
    "shared.identity",
    IdentitySettings,
    web_factory="shared.identity.app:create",
    seed=seed,
)

if __name__ == "__main__":
    cli()
