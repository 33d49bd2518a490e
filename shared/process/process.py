"""A service as data, and what each of its processes stands on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar

import httpx

from shared import bus as bus_module
from shared.auth import IdentityClient
from shared.bus import Bus
from shared.clock import Clock, SystemClock
from shared.database import Database
from shared.settings import ServiceSettings
from shared.startup import Duty, load_settings
from shared.telemetry import configure_logging, configure_tracing
from shared.telemetry.exposition import Exposition
from shared.web.csrf import FormTokens
from shared.web.outgoing import authorities
from shared.web.pages import Pages
from shared.web.staff import StaffAccess

S = TypeVar("S", bound=ServiceSettings)


@dataclass(frozen=True)
class Service(Generic[S]):
    """What all processes of one service have in common. ``metrics``: the modules that declare its own families."""

    name: str
    title: str
    package: str
    settings_class: type[S]
    metrics: tuple[ModuleType, ...] = ()

    def prepare(self, duty: Duty) -> S:
        """First of all in every process, forked ones too: settings from the environment, then logs and traces.

        Settings that will not do for what the process is there for end it, with the list of what is wrong.
        """
        settings = load_settings(self.settings_class, duty, self.name)
        configure_logging(self.name, level=settings.log_level, fmt=settings.log_format)
        configure_tracing(self.name, sample_ratio=settings.trace_sample_ratio)
        return settings

    def process(
        self,
        role: str,
        settings: S,
        *,
        clock: Clock | None = None,
        http: httpx.AsyncClient | None = None,
        bus_wait_seconds: float = 30.0,
    ) -> Process[S]:
        """One process in a role (web, worker, seed …). ``clock`` and ``http`` are given by tests only."""
        return Process(
            self, role, settings, clock=clock, http=http, bus_wait_seconds=bus_wait_seconds
        )


class Process(Generic[S]):
    """Settings, clock and database; and, made when they are first asked for, the rest. Connections are lazy."""

    def __init__(
        self,
        service: Service[S],
        role: str,
        settings: S,
        *,
        clock: Clock | None = None,
        http: httpx.AsyncClient | None = None,
        bus_wait_seconds: float = 30.0,
    ) -> None:
        self.service = service
        self.role = role
        self.settings = settings
        self.clock = clock or SystemClock(settings.clock_offset_seconds)
        self.database = Database(
            settings.database_url,
            application_name=f"{service.name}-{role}",
            pool_size=settings.connections(role),
        )
        self._http = http
        self._bus_wait_seconds = bus_wait_seconds
        self._bus: Bus | None = None

    @property
    def http(self) -> httpx.AsyncClient:
        """For calls to other services."""
        if self._http is None:
            self._http = httpx.AsyncClient(verify=authorities())
        return self._http

    async def bus(self) -> Bus:
        """Connected at the first call."""
        if self._bus is None:
            self._bus = await bus_module.connect(
                self.settings.nats_url,
                f"{self.service.name}-{self.role}",
                ca_file=self.settings.nats_ca_file,
                wait_seconds=self._bus_wait_seconds,
            )
        return self._bus

    @cached_property
    def identity(self) -> IdentityClient:
        """Who staff and keys are."""
        return IdentityClient(
            self.settings.identity_api, self.settings.identity_internal_key, self.http
        )

    @cached_property
    def access(self) -> StaffAccess:
        """Staff at this service's pages and routes."""
        return StaffAccess(
            self.identity,
            identity_url=self.settings.identity_url,
            own_url=self.settings.url_of(self.service.name),
            clock=self.clock,
            cookie=self.settings.staff_cookie,
        )

    @cached_property
    def forms(self) -> FormTokens:
        """Tokens of staff's forms."""
        return FormTokens(self.settings.form_token_secret, self.settings.staff_cookie)

    def pages(self, folder: Path, *further: Path) -> Pages:
        """Staff's pages, from the templates below ``folder`` (and ``further``: those of shared nouns)."""
        return Pages(
            folder,
            self.forms,
            secure_cookies=self.settings.deployed,
            extra_folders=further,
        )

    @cached_property
    def exposition(self) -> Exposition:
        """What ``/metrics`` answers."""
        return Exposition(self.service.metrics)

    async def close(self) -> None:
        """Stop asking, stop publishing, and the database last."""
        if self._bus is not None:
            await self._bus.close()
        if self._http is not None:
            await self._http.aclose()
        await self.database.close()
