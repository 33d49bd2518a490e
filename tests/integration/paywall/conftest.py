"""A paywall on a real database, in this process or as several processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import httpx
import pytest

from services.paywall.app import Parts, build, routed
from services.paywall.articles import repository as articles
from services.paywall.policies.schemas import PolicyBody, default_policy
from services.paywall.policies.service import PolicyService
from services.paywall.process import PAYWALL
from services.paywall.settings import PaywallSettings
from shared.agencies import save_agencies
from shared.audit import Actor
from shared.auth import SigningKeySet
from shared.clock import MovableClock
from shared.database import Database
from shared.database.migrations import migrate
from shared.process import application

AGENCY, OTHER = "bao-hung-yen", "dai-song-hong"
SITE = "https://baohungyen.test"
OTHER_SITE = "https://songhong.test"
NOW = datetime(2026, 7, 15, 5, 0, tzinfo=UTC)
KEY, OTHER_KEY, POWERLESS_KEY = "prk_hung_yen", "prk_song_hong", "prk_powerless"
EDITOR = "editor-session"
OUTSIDER = "outsider-session"
FINANCE = "finance-session"


def fake_identity(billing_keys: SigningKeySet) -> httpx.MockTransport:
    """Identity's introspection and billing's JWKS as their contracts say (their own tests run them)."""
    keys = {
        KEY: (AGENCY, ["paywall:articles", "paywall:decide"]),
        OTHER_KEY: (OTHER, ["paywall:articles", "paywall:decide"]),
        POWERLESS_KEY: (AGENCY, ["ads:decide"]),
    }
    sessions = {
        EDITOR: {AGENCY: ["editor"]},
        OUTSIDER: {OTHER: ["admin"]},
        FINANCE: {AGENCY: ["finance"]},
    }

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/.well-known/jwks.json":
            return httpx.Response(200, json=billing_keys.jwks())
        token = httpx.Response(200, content=request.content).json()["token"]
        if request.url.path.endswith("keys/introspect"):
            if token not in keys:
                return httpx.Response(200, json={"active": False})
            agency, scopes = keys[token]
            return httpx.Response(
                200, json={"active": True, "key_id": token, "agency": agency, "scopes": scopes}
            )
        if token not in sessions:
            return httpx.Response(200, json={"active": False})
        body = {
            "active": True,
            "account_id": str(UUID(int=7)),
            "email": f"{token}@example.vn",
            "name": "Biên tập",
            "roles": sessions[token],
        }
        return httpx.Response(200, json=body)

    return httpx.MockTransport(answer)


@dataclass
class Running:
    """One process's application, started."""

    parts: Parts
    client: httpx.AsyncClient
    app: object

    async def ask(
        self,
        article: str,
        *,
        cookie: str | None = None,
        token: str | None = None,
        origin: str | None = SITE,
        agency: str = AGENCY,
        **body: object,
    ) -> httpx.Response:
        """The question as a browser asks it; the client itself remembers no cookie."""
        self.client.cookies.clear()
        headers = {}
        if origin:
            headers["Origin"] = origin
        if cookie:
            headers["Cookie"] = f"theme=dark; pr_meter={cookie}"
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return await self.client.post(
            "/v1/decisions", json={"agency": agency, "article_id": article} | body, headers=headers
        )


@dataclass
class House:
    """The database and what starts processes on it."""

    url: str
    clock: MovableClock
    billing: SigningKeySet
    start: Callable[..., object]
    database: Database

    def token(
        self, reader: UUID, *, agency: str = AGENCY, until: datetime | None = None, **claims: object
    ) -> str:
        """A reader token as billing signs it."""
        ent = [{"scope": "site", "until": until.timestamp()}] if until else []
        return self.billing.sign(
            {"sub": str(reader), "agency": agency, "ent": ent} | claims,
            audience="press-paywall",
            now=self.clock.now(),
            lifetime_seconds=300,
        )

    async def set_policy(
        self, *, anonymous: int = 3, registered: int = 5, **failure: object
    ) -> None:
        policies = PolicyService(self.database, self.clock)
        body = default_policy(anonymous, registered).model_dump()
        # Long, unless the time is what a test is about: on a busy machine readers would be let in for the meter's slowness.
        body["failure"] |= {"timeout_ms": 5_000} | failure
        async with self.database.read() as session:
            from services.paywall.policies.repository import newest

            row = await newest(session, AGENCY)
        await policies.put(
            AGENCY,
            PolicyBody.model_validate(body),
            expected=row.version if row else 0,
            editor=Actor.command("test"),
        )


def new_reader() -> UUID:
    return uuid4()


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for a condition, never for a time."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it did not come true in time"
        await asyncio.sleep(0.01)


async def eventually(condition: Callable[[], Awaitable[object]], seconds: float = 10.0) -> None:
    """The same for a condition that has to be asked for."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - the other side is a database or a process
            await asyncio.sleep(0.01)


def settings_for(url: str, **more: object) -> PaywallSettings:
    values: dict[str, object] = {
        "environment": "test",
        "database_url": url,
        "identity_url": "http://identity.test",
        "billing_url": "http://billing.test",
        "paywall_url": "http://paywall.test",
        "form_token_secret": "a secret of the tests only",
        "news_site_url": SITE,
        "decision_flush_seconds": 300,
    }
    return PaywallSettings(**values | more)


@pytest.fixture
async def house(template_database, create_database) -> AsyncIterator[House]:
    async with open_house(template_database, create_database) as here:
        yield here


@asynccontextmanager
async def open_house(
    template_database: Callable[..., str], create_database: Callable[..., str]
) -> AsyncIterator[House]:
    """A migrated database with two agencies and twelve articles each, and a way to start processes."""
    template = template_database(
        "paywall", lambda url: asyncio.run(migrate(url, "services.paywall"))
    )
    url = create_database("paywall", template)
    clock, billing = MovableClock(NOW), SigningKeySet.generate("press-billing")
    database = Database(url, application_name="test", pool_size=3)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)

        async def start(**more: object) -> Running:
            return await stack.enter_async_context(running(url, clock, billing, **more))

        here = House(url, clock, billing, start, database)
        await fill(database)
        await here.set_policy()
        await PolicyService(database, clock).put(
            OTHER, default_policy(5, 10), expected=0, editor=Actor.command("test")
        )
        yield here


async def fill(database: Database) -> None:
    agency = {"time_zone": "Asia/Ho_Chi_Minh"}
    async with database.transaction() as session:
        await save_agencies(
            session,
            [
                agency | {"id": AGENCY, "name": "Báo Hưng Yên", "website": SITE},
                agency | {"id": OTHER, "name": "Đài Sông Hồng", "website": OTHER_SITE},
            ],
            actor=Actor.command("test"),
        )
        for owner in (AGENCY, OTHER):
            for number in range(1, 13):
                access = {1: "free", 2: "premium"}.get(number, "metered")
                await articles.put(
                    session,
                    agency=owner,
                    id_=f"a{number}",
                    title=f"Bài {number}",
                    url=f"{SITE}/a{number}",
                    section="kinh-te",
                    tags=[],
                    access=access,
                    published_at=NOW,
                )


@asynccontextmanager
async def running(
    url: str, clock: MovableClock, billing: SigningKeySet, **more: object
) -> AsyncIterator[Running]:
    http = httpx.AsyncClient(transport=fake_identity(billing))
    process = PAYWALL.process("web", settings_for(url, **more), clock=clock, http=http)
    parts = build(process)
    app = application(process, routed(parts))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app, client=("10.1.2.3", 999)),
            base_url="http://paywall.test",
        ) as client,
    ):
        yield Running(parts, client, app)


@pytest.fixture
async def paywall(house: House) -> Running:
    """One process."""
    return await house.start()


def cookie_of(response: httpx.Response) -> str:
    """The meter cookie an answer has set."""
    return response.headers["set-cookie"].split(";")[0].removeprefix("pr_meter=")
