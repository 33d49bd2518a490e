"""Every service's routes answer as their OpenAPI document says, whatever is asked and whoever asks: never a 5xx."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from services.billing import seed
from shared.audit import Actor, acting
from shared.database.migrations import migrate
from tests.fixtures import ads, finance, identity
from tests.fixtures.conformance import Served, disagreements, serving_in_thread
from tests.integration.billing import world as billing
from tests.integration.metrics.test_access import leaves
from tests.integration.paywall import conftest as paywall

Databases = tuple[Callable[..., str], Callable[..., str]]


def session(token: str) -> dict[str, str]:
    return {"Cookie": f"press_staff={token}"}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def named(**values: object) -> dict[str, str]:
    return {f"path.{name}": str(value) for name, value in values.items()}


@asynccontextmanager
async def the_paywall(
    databases: Databases, _folder: Path, headers: Mapping[str, str]
) -> AsyncIterator[Served]:
    create, template = databases
    async with paywall.open_house(template, create) as house:
        yield Served((await house.start()).app, headers, named(agency=paywall.AGENCY))


@asynccontextmanager
async def the_ads(databases: Databases, _folder: Path) -> AsyncIterator[Served]:
    create, template = databases
    url = create("ads", template("ads", ads.migrate_template))
    async with ads.running_ads(url) as running:
        with acting(Actor.command("test")):
            await ads.stock(running.database)
            line = await ads.book(running.database)
        [row] = await running.sql(
            "SELECT c.id, l.order_id FROM creative c JOIN line l ON l.id = c.line_id"
        )
        there = named(
            agency=ads.AGENCY, line_id=line, creative_id=row["id"], order_id=row["order_id"]
        )
        yield Served(running.app, session("admin"), there)


@asynccontextmanager
async def the_billing(databases: Databases, folder: Path) -> AsyncIterator[Served]:
    create, template = databases
    name = template("billing", lambda url: asyncio.run(migrate(url, "services.billing")))
    async with billing.make_world(create("billing", name), folder, on_create=seed.load) as world:
        await world.subscribed()
        await world.deliver()
        entry = await world.value("SELECT id FROM journal_entry WHERE kind = 'recognition'")
        there = named(agency=billing.AGENCY, entry_id=entry)
        yield Served(world.app, session("finance-token"), there)


@asynccontextmanager
async def the_metrics(databases: Databases, _folder: Path) -> AsyncIterator[Served]:
    async with finance.running_finance(*databases) as running:
        staff = await running.identity.signed_in(identity.FINANCE)
        yield Served(running.app, session(staff.token), named(agency="bao-hung-yen"))


@asynccontextmanager
async def the_identity(databases: Databases, _folder: Path) -> AsyncIterator[Served]:
    """Its routes are for the other services and in no document that anybody gets; here they are."""
    async with identity.running_identity(*databases) as running:
        for route in leaves(running.app.routes):
            if getattr(route, "path", "").startswith("/internal/"):
                route.include_in_schema = True
        yield Served(running.app, bearer(identity.INTERNAL_KEY))


#: A service as somebody who is known there, and which of its routes that one may use.
SUBJECTS = {
    "paywall, a website": (
        partial(the_paywall, headers=bearer(paywall.KEY)),
        "(articles|decisions|jwks)",
    ),
    "paywall, an editor": (partial(the_paywall, headers=session(paywall.EDITOR)), "/policy"),
    "ads": (the_ads, ".*"),
    "billing": (the_billing, ".*"),
    "metrics": (the_metrics, ".*"),
    "identity": (the_identity, ".*"),
}


@pytest.mark.timeout(300)  # a thousand requests, on a machine that may be busy
@pytest.mark.parametrize("name", SUBJECTS)
def test_answers_are_as_documented(name, create_database, template_database, tmp_path):
    make, only = SUBJECTS[name]
    databases = create_database, template_database
    with serving_in_thread(lambda: make(databases, tmp_path)) as (url, there):
        asked, found = disagreements(
            url, headers=there.headers, parameters=there.parameters, only=only
        )
        # A stranger; and somebody known who asks for what is not there.
        for headers in ({}, there.headers):
            few, more = disagreements(
                url, headers=headers, parameters={}, only=only, examples=4, coverage=False
            )
            assert few >= 4
            found += more
    assert not found, "\n\n".join(found)
    assert asked >= 30
