"""What the product is made of when it runs: every process, its command, port and environment, as data.

`make run` starts these; docker-compose runs the same commands (a test compares the two).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.databases import owner_of
from infra.local.local_secrets import LocalSecrets
from infra.local.ports import LOOPBACK
from infra.nats.permissions import SETUP

DATABASES = ("billing", "paywall", "ads", "metrics", "identity")

# Ports are the base port plus these.
NATS_OFFSET = 22
NATS_MONITORING_OFFSET = 23
POSTGRES_OFFSET = 32
PORTS_USED = 40  # a stack may take base … base + 39

WEBHOOK_PATH = "/v1/webhooks/stripe"  # where billing takes the payment provider's events
BANK_PATH = "/bank"  # where the sandbox's process has the demo bank

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
    bus_user: str | None = None  # of infra/nats/users.toml; None: it knows no NATS
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
    bus_user: str | None = None
    as_owner: bool = False  # with the database owner's role, not the service's own


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
        StepSpec(f"{name} migrate", "migrations", _python(package, "migrate"), name, as_owner=True)
        for name, package in PACKAGES.items()
    ),
    StepSpec("streams", "streams", _python("infra.nats", "apply"), bus_user=SETUP),
    *(
        StepSpec(f"{name} seed", "demo data", _python(package, "seed"), name)
        for name, package in PACKAGES.items()
    ),
)


def _worker(name: str, port: int) -> ProcessSpec:
    process = f"{name}-worker"
    return ProcessSpec(process, _python(PACKAGES[name], "worker"), port, name, bus_user=process)


PROCESSES: tuple[ProcessSpec, ...] = (
    ProcessSpec("identity-web", _python("services.identity", "web"), 5, "identity"),
    ProcessSpec("stripe-sandbox", _python("infra.stripe_sandbox"), 6, ready_path="/healthz"),
    ProcessSpec("billing-web", _python("services.billing", "web"), 1, "billing"),
    ProcessSpec("paywall-web", _python("services.paywall", "web"), 2, "paywall"),
    ProcessSpec("ads-web", _python("services.ads", "web"), 3, "ads"),
    ProcessSpec("metrics-web", _python("shared.metrics", "web"), 4, "metrics"),
    _worker("billing", 11),
    _worker("paywall", 12),
    _worker("ads", 13),
    _worker("metrics", 14),
    ProcessSpec("news-site", _python("infra.news_site"), 0),
)


WEBS = frozenset(f"{name}-web" for name in PACKAGES)
WORKERS = frozenset(spec.name for spec in PROCESSES if spec.bus_user is not None)
PAYING = frozenset(
    {"billing-web", "billing-worker", "billing seed", "billing move-stripe-subscribers"}
)

#: Who is told a secret: the processes that use it, and nobody else. Database and bus credentials are each process's own.
USED_BY: Mapping[str, frozenset[str]] = {
    "IDENTITY_INTERNAL_KEY": WEBS,
    "FORM_TOKEN_SECRET": WEBS,
    "SCRAPE_TOKEN": WEBS | WORKERS,
    "STRIPE_SECRET_KEY": PAYING,
    "STRIPE_API_BASE": PAYING,
    "STRIPE_WEBHOOK_SECRET": frozenset({"billing-web"}),
    "BANK_WEBHOOK_SECRETS": frozenset({"billing-web"}),
    "SIGN_IN_SECRET": frozenset({"billing-web"}),
    "LINK_SECRET": frozenset({"billing-web", "billing-worker"}),
    "SIGNING_KEYS_FILE": frozenset({"billing-web"}),
    "COOKIE_SECRET": frozenset({"paywall-web"}),
    "ADS_TOKEN_KEYS": frozenset({"ads-web"}),
    "DEMO_PASSWORD": frozenset({"identity seed"}),
    "DEMO_TOTP_SECRET": frozenset({"identity seed"}),
    "FACTOR_KEYS": frozenset(
        {"identity-web", "identity seed"}
    ),  # the seed seals the demo's second factor
    "DEMO_SITE_KEY": frozenset({"identity seed", "news-site"}),
}


@dataclass(frozen=True)
class Surroundings:
    """What turns the data above into environments: where this stack lives and its secrets."""

    base_port: int
    data: Path
    assets: Path
    secrets: LocalSecrets

    def url(self, offset: int) -> str:
        return f"http://{LOOPBACK}:{self.base_port + offset}"

    def database_url(self, database: str, role: str | None = None) -> str:
        """With the service's own role, which owns nothing and may enter no other database, or with ``role``."""
        role = role or database
        password = self.secrets.database_passwords[role]
        port = self.base_port + POSTGRES_OFFSET
        return f"postgresql://{role}:{password}@{LOOPBACK}:{port}/{database}?sslmode=disable"

    def nats_url(self, user: str) -> str:
        """With the credential of a user of infra/nats/users.toml."""
        password = self.secrets.nats_passwords[user]
        return f"nats://{user}:{password}@{LOOPBACK}:{self.base_port + NATS_OFFSET}"

    def environment(self, spec: ProcessSpec | StepSpec) -> dict[str, str]:
        """The variables of one process, without those it inherits: addresses for all, and the secrets it uses."""
        variables = {
            "ENVIRONMENT": "local",
            "HOST": LOOPBACK,
            "ASSETS_DIR": str(self.assets),
            **{name: self.url(offset) for name, offset in ADDRESSES.items()},
            "TEXT_TRANSPORT": "outbox",
            "BANK_SANDBOX_URL": self.url(ADDRESSES["STRIPE_SANDBOX_URL"]) + BANK_PATH,
        }
        if isinstance(spec, ProcessSpec):
            variables["PORT"] = str(self.base_port + spec.port)
        if spec.database is not None:
            as_owner = isinstance(spec, StepSpec) and spec.as_owner
            role = owner_of(spec.database) if as_owner else spec.database
            variables["DATABASE_URL"] = self.database_url(spec.database, role)
        known = self._known()
        used = {name: known[name] for name, users in USED_BY.items() if spec.name in users}
        if spec.bus_user is not None:
            used["NATS_URL"] = self.nats_url(spec.bus_user)
        return {**variables, **used, **self._of_the_sandbox(spec), **spec.env}

    def _known(self) -> dict[str, str]:
        """What :data:`USED_BY` hands out."""
        return {
            "IDENTITY_INTERNAL_KEY": self.secrets.identity_internal_key,
            "FORM_TOKEN_SECRET": self.secrets.form_token_secret,
            "SCRAPE_TOKEN": self.secrets.scrape_token,
            "STRIPE_SECRET_KEY": self.secrets.stripe_secret_key,
            "STRIPE_API_BASE": self.url(ADDRESSES["STRIPE_SANDBOX_URL"]),
            "STRIPE_WEBHOOK_SECRET": self.secrets.stripe_webhook_secret,
            "BANK_WEBHOOK_SECRETS": self._bank_secrets(),
            "SIGN_IN_SECRET": self.secrets.sign_in_secret,
            "LINK_SECRET": self.secrets.link_secret,
            "SIGNING_KEYS_FILE": str(self.data / "billing-signing-keys.pem"),
            "COOKIE_SECRET": self.secrets.cookie_secret,
            "ADS_TOKEN_KEYS": f"1:{self.secrets.ads_token_key}",
            "DEMO_PASSWORD": self.secrets.demo_password,
            "FACTOR_KEYS": self.secrets.factor_keys,
            "DEMO_TOTP_SECRET": self.secrets.demo_totp_secret,
            "DEMO_SITE_KEY": self.secrets.demo_site_key,
        }

    def _bank_secrets(self) -> str:
        return ",".join(f"{sender}:{own}" for sender, own in self.secrets.bank_secrets.items())

    def _of_the_sandbox(self, spec: ProcessSpec | StepSpec) -> dict[str, str]:
        if spec.name != "stripe-sandbox":
            return {}
        return {
            "STRIPE_SANDBOX_PORT": str(self.base_port + ADDRESSES["STRIPE_SANDBOX_URL"]),
            "STRIPE_SANDBOX_STATE_FILE": str(self.data / "stripe-sandbox.sqlite"),
            "STRIPE_SANDBOX_CONTROL_TOKEN": self.secrets.stripe_control_token,
            "STRIPE_SANDBOX_WEBHOOK_URL": self.url(ADDRESSES["BILLING_URL"]) + WEBHOOK_PATH,
            "STRIPE_SANDBOX_WEBHOOK_SECRET": self.secrets.stripe_webhook_secret,
            "BANK_SANDBOX_BILLING_URL": self.url(ADDRESSES["BILLING_URL"]),
            "BANK_SANDBOX_WEBHOOK_SECRETS": self._bank_secrets(),
        }
