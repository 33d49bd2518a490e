"""``python -m infra.stripe_sandbox``: serve the sandbox on this machine."""

import sys

import uvicorn

from infra.bank_sandbox.settings import BankSettings
from shared.startup import Duty, load_settings

from .app import create_app
from .settings import SandboxSettings


def main() -> None:
    """Serve until told to stop."""
    settings = load_settings(SandboxSettings, Duty.WEB, "stripe-sandbox")
    bank_settings = load_settings(BankSettings, Duty.WEB, "stripe-sandbox")
    if "control_token" not in settings.model_fields_set:
        # Made up for this run; whoever started it needs it for the control endpoints.
        print(f"stripe sandbox: control token {settings.control_token}", file=sys.stderr)
    print(f"stripe sandbox: {settings.public_url}", file=sys.stderr)
    print(f"bank sandbox: {settings.public_url}/bank", file=sys.stderr)
    uvicorn.run(
        create_app(settings, bank_settings),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        proxy_headers=False,  # addresses come from the settings, never from what a caller wrote
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    main()
