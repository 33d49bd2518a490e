"""Settings every process shares; each service adds its own in its ``settings.py``.

Values come from the environment or from files (``SECRETS_DIR``, one file a setting), never from code.
Every field is documented in ``docs/settings.md``; a test fails when one is not. ``CHECKS`` is the table of what a deployed
process refuses (``shared.startup``); a service's class has a table of its own beside it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.sites import same_site
from shared.startup.load import RefusedSettingsError, duties, no_authorities
from shared.startup.rules import (
    DEPLOYED,
    DEVELOPER,
    EVERY_DUTY,
    EVERYWHERE,
    LOCAL,
    PRODUCTION,
    REHEARSAL,
    SERVING,
    TESTS,
    Check,
    Duty,
    authority_of,
    bus_in_the_clear,
    bus_without_credentials,
    database_in_the_clear,
    internal_address_wrong,
    is_loopback,
    local_address_wrong,
    public_address_wrong,
    reachable_address,
    refusals,
    rehearsal_address_wrong,
    repeated,
    role_of,
    weak,
    weak_password,
)

PUBLIC_ADDRESSES = (
    "billing_url",
    "paywall_url",
    "ads_url",
    "metrics_url",
    "identity_url",
    "news_site_url",
)
INTERNAL_ADDRESSES = ("identity_internal_url", "billing_internal_url")
LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(str.upper)
]
STRONG = "24 characters or more, made at random (openssl rand -hex 24)"
IN_THE_CLEAR = "tls:// where NATS is on another machine"
AUTHORITIES = "a file that this process can read, with certificates as PEM"


def _is(wrong: Callable[[str], bool], field: str) -> Callable[[Any], bool]:
    """Whether ``wrong`` holds of one field."""
    return lambda settings: wrong(getattr(settings, field))


def _addresses() -> tuple[Check, ...]:
    """Where browsers and the other processes find each part."""
    checks: list[Check] = []
    for field in PUBLIC_ADDRESSES:
        name = field.upper()
        checks += [
            Check(
                name,
                _is(public_address_wrong, field),
                "https:// and a public host name, nothing behind it",
                where=PRODUCTION,
            ),
            Check(
                name,
                _is(rehearsal_address_wrong, field),
                "https:// and a name below .test or .localhost: a rehearsal has no public names",
                where=REHEARSAL,
            ),
            Check(
                name,
                _is(local_address_wrong, field),
                "a loopback address (127.0.0.1, localhost): nothing local is public; "
                "ENVIRONMENT=production serves readers",
                where=DEVELOPER,
            ),
            Check(
                name,
                _is(reachable_address, field),
                "a loopback address or a reserved name: nothing of a test is public",
                where=TESTS,
            ),
        ]
    for field in INTERNAL_ADDRESSES:
        checks.append(
            Check(
                field.upper(),
                _is(internal_address_wrong, field),
                "https://, or http:// to a name of one label or loopback, which never leaves the machine",
            )
        )
    return tuple(checks)


#: A web process publishes by its outbox, and its worker relays: it knows no bus.
USING_THE_BUS = frozenset({Duty.WORKER})

#: What every process checks. A service's own ``CHECKS`` come after these.
SHARED_CHECKS = (
    *_addresses(),
    Check(
        "PAYWALL_URL",
        lambda s: not same_site(s.news_site_url, s.paywall_url, s.billing_url),
        "on one site with NEWS_SITE_URL and BILLING_URL (one registrable domain): browsers send the meter's and the "
        "reader's cookies to no other",
    ),
    Check(
        "HOST",
        lambda s: not is_loopback(s.host),
        "a loopback address: a developer's machine serves nobody else",
        where=LOCAL,
    ),
    Check("CLOCK_OFFSET_SECONDS", lambda s: s.clock_offset_seconds != 0, "0"),
    Check("LOG_LEVEL", lambda s: s.log_level == "DEBUG", "INFO or higher"),
    Check(
        "DATABASE_URL",
        lambda s: not s.database_url.startswith(("postgresql://", "postgres://")),
        "postgresql://role:password@host/database",
    ),
    Check(
        "DATABASE_URL",
        lambda s: bool(s.database_url) and weak_password(s.database_url),
        f"with a password of {STRONG}",
    ),
    Check(
        "DATABASE_URL",
        lambda s: role_of(s.database_url) == "postgres",
        "the service's own role, never the superuser",
    ),
    Check(
        "DATABASE_URL",
        lambda s: role_of(s.database_url).endswith("_owner"),
        "the run-time role (the owner only migrates)",
        duties=EVERY_DUTY - {Duty.MIGRATE},
    ),
    Check(
        "DATABASE_URL",
        lambda s: database_in_the_clear(s.database_url),
        "with ?sslmode=verify-full&sslrootcert=<PEM file> where the database is on another machine",
    ),
    Check(
        "DATABASE_URL",
        lambda s: no_authorities(authority_of(s.database_url)),
        f"with a sslrootcert that is {AUTHORITIES}",
        where=EVERYWHERE,
    ),
    Check(
        "NATS_URL",
        lambda s: bus_without_credentials(s.nats_url),
        f"with the process's own user (not the set-up's) and a password of {STRONG}",
        duties=USING_THE_BUS,
    ),
    Check(
        "NATS_URL",
        lambda s: bus_in_the_clear(s.nats_url),
        IN_THE_CLEAR,
        duties=USING_THE_BUS,
    ),
    Check(
        "NATS_CA_FILE",
        lambda s: no_authorities(s.nats_ca_file),
        AUTHORITIES,
        where=EVERYWHERE,
        duties=USING_THE_BUS,
    ),
    Check(
        "FORWARDED_HOPS",
        lambda s: not s.forwarded_hops,
        "1 or more, counted: https means a proxy in front, and without its word all callers have one address",
        duties=frozenset({Duty.WEB}),
    ),
    Check("SCRAPE_TOKEN", lambda s: weak(s.scrape_token), STRONG, duties=SERVING),
    Check(
        "FORM_TOKEN_SECRET",
        lambda s: weak(s.form_token_secret),
        STRONG,
        duties=frozenset({Duty.WEB}),
    ),
    Check(
        "secrets",
        lambda s: repeated([*s.secrets(), urlsplit(s.database_url).password or ""]),
        "each different: two of them have the same value",
    ),
)
#: For every service but identity itself, which answers.
ASKS_IDENTITY = (
    Check(
        "IDENTITY_INTERNAL_KEY",
        lambda s: weak(s.identity_internal_key),
        STRONG,
        duties=frozenset({Duty.WEB}),
    ),
)


class ServiceSettings(BaseSettings):
    """The environment of one process."""

    model_config = SettingsConfigDict(
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )
    #: The class's own table of what is refused, after those of its bases and :data:`SHARED_CHECKS`.
    CHECKS: ClassVar[tuple[Check, ...]] = ()

    def __init__(self, **values: Any) -> None:
        # Looked up now, not at import: a forked process has an environment of its own.
        values.setdefault("_secrets_dir", os.environ.get("SECRETS_DIR"))
        super().__init__(**values)

    environment: Literal["local", "test", "rehearsal", "production"] = Field(
        default="production",
        description="Which checks apply. production serves readers; rehearsal is the same with the payment sandbox, on "
        "names below .test or .localhost only; local and test are a developer's machine.",
    )
    host: str = Field(default="127.0.0.1", description="Address the HTTP server binds to.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port of the HTTP server.")
    processes: int = Field(default=1, ge=1, le=64, description="HTTP server processes.")
    max_connections: int = Field(
        default=1_000,
        ge=1,
        le=100_000,
        description="Connections an HTTP process keeps open; further ones are answered 503.",
    )
    max_requests: int = Field(
        default=200,
        ge=1,
        le=10_000,
        description="Requests an HTTP process works on at once (hot routes have queues of their own); further ones are "
        "answered 503 with Retry-After.",
    )
    head_seconds: float = Field(
        default=10.0, gt=0, le=300, description="How long a request's head may take to arrive."
    )
    body_seconds: float = Field(
        default=20.0,
        gt=0,
        le=300,
        description="How long a request's body may take to arrive, and a second more for each 8 KiB of it.",
    )
    database_url: str = Field(
        default="",
        description="postgresql:// URL of this service's own database. On another machine with "
        "?sslmode=verify-full&sslrootcert=<PEM of the authority of its certificate>.",
    )
    database_pool_size: int = Field(
        default=5,
        ge=1,
        le=200,
        description="Connections each process opens at most, for requests and for hot paths each; those idle for 30 s are closed.",
    )
    nats_url: str = Field(
        default="nats://127.0.0.1:4222",
        description="NATS server or cluster with the process's own user (infra/nats/users.toml), for workers. tls:// is TLS "
        "from the first byte (handshake_first in the server's configuration).",
    )
    nats_ca_file: str = Field(
        default="",
        description="PEM of the authority of NATS's certificate; with it only TLS is spoken. Empty: the machine's own.",
    )
    identity_url: str = Field(
        default="http://127.0.0.1:8005", description="Staff sign-in and service keys."
    )
    identity_internal_url: str = Field(
        default="",
        description="Identity as this process reaches it; empty: IDENTITY_URL (one machine).",
    )
    billing_internal_url: str = Field(
        default="", description="Billing as this process reaches it; empty: BILLING_URL."
    )
    identity_internal_key: str = Field(
        default="", description="Key this service uses towards identity's introspection."
    )
    billing_url: str = Field(default="http://127.0.0.1:8001", description="Public URL of billing.")
    paywall_url: str = Field(default="http://127.0.0.1:8002", description="Public URL of paywall.")
    ads_url: str = Field(default="http://127.0.0.1:8003", description="Public URL of ads.")
    metrics_url: str = Field(
        default="http://127.0.0.1:8004", description="Public URL of the finance page."
    )
    news_site_url: str = Field(
        default="http://127.0.0.1:8000", description="Public URL of the agency's website."
    )
    scrape_token: str = Field(
        default="", description="Bearer token Prometheus sends to /metrics; needed where deployed."
    )
    staff_cookie_domain: str = Field(
        default="",
        description="Domain of the staff cookie where services have host names of their own; the same for every process. "
        "Every host below it receives the cookie.",
    )
    form_token_secret: str = Field(
        default="", description="Secret behind the forms' tokens (16 characters or more)."
    )
    forwarded_hops: int | None = Field(
        default=None,
        ge=0,
        le=5,
        description="Trusted proxies in front: the caller's address is that far from the right "
        "in X-Forwarded-For. Unset or 0: the connection's own address.",
    )
    assets_dir: str = Field(
        default=".local/assets", description="Folder with htmx and the style sheet (from npm)."
    )
    log_level: LogLevel = Field(default="INFO", description="Lowest level that is logged.")
    log_format: Literal["json", "console"] = Field(
        default="json", description="json for machines, console for people."
    )
    trace_sample_ratio: float = Field(
        default=0.01, ge=0, le=1, description="Share of requests that are traced."
    )
    clock_offset_seconds: int = Field(
        default=0, description="Shifts the clock; refused unless 0 where deployed."
    )

    @property
    def identity_api(self) -> str:
        """Where this process asks identity."""
        return (self.identity_internal_url or self.identity_url).rstrip("/")

    @property
    def billing_api(self) -> str:
        """Where this process fetches billing's public keys."""
        return (self.billing_internal_url or self.billing_url).rstrip("/")

    @property
    def own_url(self) -> str:
        """The public address of this service's pages; empty for one that has none."""
        return ""

    @property
    def staff_cookie(self) -> str:
        """Name of the staff session's cookie, with the prefix that makes browsers hold to how it was set (RFC 6265bis).

        ``__Host-``: this host only, over TLS only. With a domain for services on hosts of their own that cannot be.
        """
        if not self.deployed:
            return "press_staff"
        return f"__{'Secure' if self.staff_cookie_domain else 'Host'}-press_staff"

    @property
    def deployed(self) -> bool:
        """Behind TLS, for others than its developer: cookies are Secure, nothing is derived or made up."""
        return self.environment in DEPLOYED

    @property
    def hops(self) -> int:
        """Proxies in front whose word about the caller is believed."""
        return self.forwarded_hops or 0

    def secrets(self) -> tuple[str, ...]:
        """The secrets of this process, each of which must be a value of its own."""
        return (self.scrape_token, self.form_token_secret, self.identity_internal_key)

    def connections(self, _role: str) -> int:
        """How many database connections a process in this role keeps."""
        return self.database_pool_size

    def url_of(self, service: str) -> str:
        """A service's public URL, by its name."""
        return {
            "billing": self.billing_url,
            "paywall": self.paywall_url,
            "ads": self.ads_url,
            "metrics": self.metrics_url,
            "identity": self.identity_url,
        }[service]

    def model_post_init(self, _context: object) -> None:
        """Raises ``RefusedSettingsError`` (as part of pydantic's) with everything the tables refuse."""
        tables = [vars(base).get("CHECKS", ()) for base in reversed(type(self).__mro__)]
        checks = [*SHARED_CHECKS, *(check for table in tables for check in table)]
        found = refusals(self, checks, self.environment, duties.get())
        if found:
            raise RefusedSettingsError(found)
