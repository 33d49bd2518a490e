"""What the product is made of when it runs: every process, its command, port and environment, as data.

`make run` starts these; docker-compose runs the same commands (a test compares the two).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.local_secrets import LocalSecrets
from infra.local.ports import LOOPBACK

DATABASES = ("billing", "paywall", "ads", "metrics", "identity")

# Ports are the base port plus these.
NATS_OFFSET = 22
NATS_MONITORING_OFFSET = 23
POSTGRES_OFFSET = 32
PORTS_USED = 40  # a stack may take base … base + 39

WEBHOOK_PATH = "/v1/webhooks/stripe"  # where billing takes the payment provider's events

# Where each part is reached: the variable, and the offset of its port.
ADDRESSES: Mapping[str, int] = {
    "NEWS_SITE_URL": 0,
    "BILLING_URL": 1,
    "PAYWALL_URL": 2,
    "ADS_URL": 3,
    "METRICS_URL": 4,
    "IDENTITY_URL": 5,
    "STRIPE_SANDBOX_URL": 6,
}


@dataclass(frozen=True)
class ProcessSpec:
    """A process that stays up. `port` is an offset from the base port."""

    name: str
    command: tuple[str, ...]
    port: int
    database: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    ready_path: str = "/readyz"
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class StepSpec:
    """A command that runs to its end before the processes start. Steps of one stage run together."""

    name: str
    stage: str
    command: tuple[str, ...]
    database: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    return ("python", "-m", module, *arguments)


# The order of stages is the order in which they run.
STAGES = ("migrations", "streams", "demo data")

#: Name of the database and of its processes → the package that owns it.
PACKAGES = {
    "billing": "services.billing",
    "paywall": "services.paywall",
    "ads": "services.ads",
    "metrics": "shared.metrics",
    "identity": "services.identity",
}

STEPS: tuple[StepSpec, ...] = (
    *(
        StepSpec(f"{name} migrate", "migrations", _python(package, "migrate"), name)
        for name, package in PACKAGES.items()
    ),
    StepSpec("streams", "streams", _python("infra.nats", "apply")),
    *(
        StepSpec(f"{name} seed", "demo data", _python(package, "seed"), name)
        for name, package in PACKAGES.items()
    ),
)

PROCESSES: tuple[ProcessSpec, ...] = (
    ProcessSpec("identity-web", _python("services.identity", "web"), 5, "identity"),
    ProcessSpec("stripe-sandbox", _python("infra.stripe_sandbox"), 6, ready_path="/healthz"),
    ProcessSpec("billing-web", _python("services.billing", "web"), 1, "billing"),
    ProcessSpec("paywall-web", _python("services.paywall", "web"), 2, "paywall"),
    ProcessSpec("ads-web", _python("services.ads", "web"), 3, "ads"),
    ProcessSpec("metrics-web", _python("shared.metrics", "web"), 4, "metrics"),
    ProcessSpec("billing-worker", _python("services.billing", "worker"), 11, "billing"),
    ProcessSpec("paywall-worker", _python("services.paywall", "worker"), 12, "paywall"),
    ProcessSpec("ads-worker", _python("services.ads", "worker"), 13, "ads"),
    ProcessSpec("metrics-worker", _python("shared.metrics", "worker"), 14, "metrics"),
    ProcessSpec("news-site", _python("infra.news_site"), 0),
)


@dataclass(frozen=True)
class Surroundings:
    """What turns the data above into environments: where this stack lives and its secrets."""

    base_port: int
    data: Path
    assets: Path
    secrets: LocalSecrets

    def url(self, offset: int) -> str:
        return f"http://{LOOPBACK}:{self.base_port + offset}"

    def database_url(self, database: str) -> str:
        """With the database's own role, which owns this database and may enter no other."""
        password = self.secrets.database_passwords[database]
        port = self.base_port + POSTGRES_OFFSET
        return f"postgresql://{database}:{password}@{LOOPBACK}:{port}/{database}"

    @property
    def nats_url(self) -> str:
        user, password = self.secrets.nats_user, self.secrets.nats_password
        return f"nats://{user}:{password}@{LOOPBACK}:{self.base_port + NATS_OFFSET}"

    def environment(self, spec: ProcessSpec | StepSpec) -> dict[str, str]:
        """The variables of one process, without those it inherits."""
        variables = {
            "ENVIRONMENT": "local",
            "HOST": LOOPBACK,
            "NATS_URL": self.nats_url,
            "ASSETS_DIR": str(self.assets),
            "IDENTITY_INTERNAL_KEY": self.secrets.identity_internal_key,
            "FORM_TOKEN_SECRET": self.secrets.form_token_secret,
            "SCRAPE_TOKEN": self.secrets.scrape_token,
            **{name: self.url(offset) for name, offset in ADDRESSES.items()},
        }
        if isinstance(spec, ProcessSpec):
            variables["PORT"] = str(self.base_port + spec.port)
        if spec.database is not None:
            variables["DATABASE_URL"] = self.database_url(spec.database)
        return {**variables, **self._extras(spec), **spec.env}

    def _extras(self, spec: ProcessSpec | StepSpec) -> dict[str, str]:  # noqa: PLR0911 - a table
        """What only some processes may know: payment keys, cookie keys, the demo's own."""
        if spec.database == "billing":
            return {
                "STRIPE_WEBHOOK_SECRET": self.secrets.stripe_webhook_secret,
                "STRIPE_SECRET_KEY": self.secrets.stripe_secret_key,
                "STRIPE_API_BASE": self.url(ADDRESSES["STRIPE_SANDBOX_URL"]),
                "SIGN_IN_SECRET": self.secrets.sign_in_secret,
                "SIGNING_KEYS_FILE": str(self.data / "billing-signing-keys.pem"),
            }
        if spec.database == "paywall":
            return {"COOKIE_SECRET": self.secrets.cookie_secret}
        if spec.database == "ads":
            return {"ADS_TOKEN_KEYS": f"1:{self.secrets.ads_token_key}"}
        if spec.database == "identity":
            return {
                "DEMO_PASSWORD": self.secrets.demo_password,
                "DEMO_TOTP_SECRET": self.secrets.demo_totp_secret,
                "DEMO_SITE_KEY": self.secrets.demo_site_key,
            }
        if spec.name == "news-site":
            return {"DEMO_SITE_KEY": self.secrets.demo_site_key}
        if spec.name == "stripe-sandbox":
            return {
                "STRIPE_SANDBOX_PORT": str(self.base_port + ADDRESSES["STRIPE_SANDBOX_URL"]),
                "STRIPE_SANDBOX_STATE_FILE": str(self.data / "stripe-sandbox.sqlite"),
                "STRIPE_SANDBOX_CONTROL_TOKEN": self.secrets.stripe_control_token,
                "STRIPE_SANDBOX_WEBHOOK_URL": self.url(ADDRESSES["BILLING_URL"]) + WEBHOOK_PATH,
                "STRIPE_SANDBOX_WEBHOOK_SECRET": self.secrets.stripe_webhook_secret,
            }
        return {}
