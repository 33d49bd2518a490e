"""The chain: nobody forks it, and whoever cuts, edits or reorders it is found at the first wrong place."""

from __future__ import annotations

import asyncio
import csv
import io
import re
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from shared import audit
from shared.agencies import SCHEMA_V1 as AGENCY
from shared.audit import Action, Actor, service
from shared.audit.repository import Filter
from shared.audit.rules import Broken
from shared.audit.service import Head, Watch, verify
from shared.clock import MovableClock
from shared.database import Database
from shared.telemetry.metrics import INVARIANT_VIOLATIONS
from tests.fixtures.identity import ADMIN, FINANCE, STRANGER, running_identity
from tests.fixtures.roles import as_superuser as superuser_url
from tests.fixtures.roles import assert_never, grant_as_migrations_do

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
SOMEBODY = Actor.command("test", "somebody")


def prepare(url: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(AGENCY)
        await connection.execute(audit.SCHEMA_V1)
        await connection.close()

    asyncio.run(run())
    grant_as_migrations_do(url)


@pytest.fixture
async def database(create_database, template_database):
    opened = Database(
        create_database("audit", template_database("audit", prepare)),
        application_name="audit-test",
        pool_size=10,
    )
    yield opened
    await opened.close()


async def act(database: Database, number: int, agency: str | None = "bao-hung-yen") -> None:
    async with database.transaction() as session:
        await audit.record(
            session,
            Action.RATE_SET,
            agency=agency,
            at=NOW + timedelta(seconds=number),
            subject=f"product/{number}",
            before={"cpm_vnd": number},
            after={"cpm_vnd": number + 1, "day": NOW.date(), "share": 0.1, "text": "giá\x00 mới"},
            actor=SOMEBODY,
        )


async def as_superuser(database: Database, *statements: str) -> None:
    connection = await asyncpg.connect(superuser_url(database.url))
    try:
        # Every guard of the database off: what is left is the chain.
        await connection.execute("SET session_replication_role = replica")
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def whole(database: Database, **options) -> list[Head | Broken]:
    return await verify(database, whole=True, now=NOW, **options)


async def test_eight_writers_at_once_make_one_chain_of_each_agency(database):
    async def writer(number: int) -> None:
        for step in range(25):
            await act(database, number * 100 + step, "a" if step % 2 else "b")

    await asyncio.gather(*(writer(number) for number in range(8)))
    found = await whole(database)
    assert [(head.chain, head.position) for head in found] == [("a", 96), ("b", 104)]


async def test_a_use_case_that_takes_its_time_keeps_nobody_waiting(database):
    """The chain is locked at the commit only: another act of the same agency goes past an open one."""
    async with database.transaction() as session:
        await audit.record(
            session, Action.RATE_SET, agency="a", at=NOW, subject="slow/1", actor=SOMEBODY
        )
        await asyncio.wait_for(act(database, 2, "a"), 5)
    entries = await service.page(database, "a", Filter(), before=None, limit=10)
    assert len(entries) == 2
    assert all(isinstance(one, Head) for one in await whole(database))


async def test_an_act_that_is_rolled_back_leaves_no_entry_and_no_gap(database):
    await act(database, 1)
    with pytest.raises(RuntimeError):
        async with database.transaction() as session:
            await audit.record(
                session,
                Action.RATE_SET,
                agency="bao-hung-yen",
                at=NOW,
                subject="x/1",
                actor=SOMEBODY,
            )
            raise RuntimeError
    await act(database, 2)
    [head] = await whole(database)
    assert isinstance(head, Head) and head.position == 2


async def test_nobody_acts_without_a_name(database):
    with pytest.raises(LookupError):
        async with database.transaction() as session:
            await audit.record(session, Action.RATE_SET, agency="a", at=NOW, subject="x/1")


async def test_secrets_are_not_kept(database):
    async with database.transaction() as session:
        await audit.record(
            session,
            Action.KEY_CREATED,
            agency="a",
            at=NOW,
            subject="key/1",
            after={"password": "hush", "note": "prk_demo_0123456789abcdef"},
            actor=SOMEBODY,
        )
    [entry] = await service.page(database, "a", Filter(), before=None, limit=10)
    assert entry.after == {"password": "[redacted]", "note": "prk_[redacted]"}


FORGERIES = {
    "edited": (
        "UPDATE audit_entry SET actor = 'nobody' WHERE subject = 'product/3'",
        3,
        "the entry or its place was changed",
    ),
    "edited in its values": (
        """UPDATE audit_entry SET after = jsonb_set(after, '{cpm_vnd}', '1') WHERE subject = 'product/4'""",
        4,
        "the entry or its place was changed",
    ),
    "cut": (
        "DELETE FROM audit_entry WHERE subject = 'product/2'",
        2,
        "the entry was deleted",
    ),
    "cut with its seal": (
        """DELETE FROM audit_seal WHERE position = 2; DELETE FROM audit_entry WHERE subject = 'product/2'""",
        2,
        "an entry was cut out",
    ),
    "reordered": (
        """UPDATE audit_seal SET position = -position WHERE position IN (3, 4);
           UPDATE audit_seal SET position = CASE position WHEN -3 THEN 4 ELSE 3 END WHERE position < 0""",
        3,
        "the entry or its place was changed",
    ),
    "moved to another agency": (
        "UPDATE audit_entry SET agency = 'dai-song-hong' WHERE subject = 'product/5'",
        5,
        "the entry was moved to another chain",
    ),
    "put in past the chain": (
        """INSERT INTO audit_entry SELECT gen_random_uuid(), at, agency, action, actor_kind, actor_id, actor,
           'product/99', label, before, after, request_id, network, digest FROM audit_entry LIMIT 1""",
        7,
        "the entry stands outside of the chain",
    ),
}


@pytest.mark.parametrize("kind", FORGERIES)
async def test_the_check_names_the_first_bad_entry(database, kind):
    statement, position, reason = FORGERIES[kind]
    for number in range(1, 7):
        await act(database, number)
    await as_superuser(
        database, "ALTER TABLE audit_seal DROP CONSTRAINT ck_audit_seal_position", statement
    )
    broken = [one for one in await whole(database) if isinstance(one, Broken)]
    first = next(one for one in broken if one.chain == "bao-hung-yen")
    assert (first.position, first.reason) == (position, reason)


async def test_a_cut_at_the_end_is_found_by_the_checkpoint_and_by_what_the_log_kept(database):
    for number in range(1, 7):
        await act(database, number)
    [head] = await whole(database)
    anchor = {head.chain: (head.position, head.hash)}
    await as_superuser(
        database,
        "DELETE FROM audit_entry WHERE subject IN ('product/5', 'product/6')",
        "DELETE FROM audit_seal WHERE position >= 5",
    )
    [broken] = await verify(database, whole=False, now=NOW)
    assert isinstance(broken, Broken) and broken.position == 6
    # Whoever can do that can also mend the checkpoint; not the lines that were shipped elsewhere.
    await as_superuser(database, "DELETE FROM audit_checkpoint")
    [unseen] = await verify(database, whole=True, now=NOW)
    assert isinstance(unseen, Head)
    [broken] = await whole(database, anchors=anchor)
    assert isinstance(broken, Broken) and broken.reason == "the chain was cut or written anew"


@pytest.mark.parametrize("table", ["audit_entry", "audit_seal"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {}"])
async def test_the_database_refuses_every_change(database, table, statement):
    await act(database, 1)
    column = {"audit_entry": "actor", "audit_seal": "hash"}[table]
    await assert_never(database.url, statement.format(table, column, column))


async def test_the_watch_raises_the_metric_and_reads_only_what_is_new(database, monkeypatch):
    clock = MovableClock(NOW)
    watch = Watch(database, clock, "audit-test")
    gauge = INVARIANT_VIOLATIONS.labels("audit-test", "audit_chain")
    await act(database, 1)
    assert await watch.check() == [] and gauge._value.get() == 0
    read: list[int] = []
    links = service.repository.links

    async def counted(*args):
        found = await links(*args)
        read.extend(link.position for link in found)
        return found

    monkeypatch.setattr(service.repository, "links", counted)
    await act(database, 2)
    assert await watch.check() == [] and read == [2]
    await as_superuser(database, "UPDATE audit_entry SET actor = 'x' WHERE subject = 'product/1'")
    assert (
        await watch.check() == []
    )  # behind the checkpoint: the daily check of everything finds it
    clock.advance(timedelta(hours=24))
    [broken] = await watch.check()
    assert broken.position == 1 and gauge._value.get() == 1


@pytest.fixture
async def identity(create_database, template_database):
    async with running_identity(create_database, template_database) as running:
        yield running


async def test_the_page_is_for_the_agencys_administrator_and_filters(identity):
    async with identity.database.transaction() as session:
        await audit.record(
            session,
            Action.ROLES_CHANGED,
            agency="bao-hung-yen",
            at=identity.clock.now(),
            subject="account/1",
            label="=cmd|' /C calc'!A0",
            before={"roles": ["finance"]},
            after={"roles": ["finance", "<script>"]},
            actor=Actor.command("test", '＝1+1;"x"'),
        )
    admin = await identity.signed_in(ADMIN)
    page = (await admin.http.get("/audit/bao-hung-yen")).text
    assert "Thay đổi vai trò" in page and "&lt;script&gt;" in page and "<script>" not in page
    assert "Roles changed" in (await admin.http.get("/audit/bao-hung-yen?lang=en")).text
    offered = re.findall(r'<option value="([^"]+)"', page)
    assert "roles-changed" in offered and len(set(offered)) == len(offered)
    assert "rate-set" not in offered, "an act that this service records none of"
    await admin.http.get("/audit/bao-hung-yen?lang=vi")
    for query, count in (
        ("action=roles-changed", 1),
        ("action=key-revoked", 0),
        ("subject=account/1", 1),
        ("person=nobody", 0),
        ("person=%25", 0),
        ("since=2026-11-23&until=2026-11-23&action=roles-changed", 1),
        ("until=2026-11-22&action=roles-changed", 0),
    ):
        shown = await admin.http.get(f"/audit/bao-hung-yen?{query}")
        assert shown.text.count("<time") == count, query
    for query in ("since=0001-01-01", "since=9999-12-31", "until=yesterday", "since=%00"):
        refused = await admin.http.get(f"/audit/bao-hung-yen?{query}")
        assert refused.status_code == 422 and query.split("=")[0] in refused.text

    export = await admin.http.get("/audit/bao-hung-yen/export.csv?action=roles-changed")
    assert export.text.startswith("\ufeff")
    heading, row = list(csv.reader(io.StringIO(export.text[1:]), delimiter=";"))
    told = dict(zip(heading, row, strict=True))
    assert told["action"] == "Thay đổi vai trò" and told["action_code"] == "roles-changed"
    assert told["label"] == "'=cmd|' /C calc'!A0"
    wanted = Filter(action=Action.AUDIT_EXPORTED)
    [exported] = await service.page(identity.database, "bao-hung-yen", wanted, before=None, limit=5)
    assert exported.actor == ADMIN
    for field in ("person", "action", "subject", "since", "until", "before"):
        for path in ("", "/export.csv"):
            for words in ("%00", "a%00b", "%ED%A0%80", "'"):
                url = f"/audit/bao-hung-yen{path}?{field}={words}"
                answer = await admin.http.get(url)
                right = 422 if "%00" in words or field not in ("person", "subject") else 200
                if (field, path) == ("before", "/export.csv"):  # no field of the file
                    right = 200
                assert answer.status_code == right, url
                assert right == 200 or field in answer.text, url
    assert (await admin.http.get("/audit/dai-song-hong")).status_code == 404
    assert (await admin.http.get("/audit/dai-song-hong/export.csv")).status_code == 404
    finance = await identity.signed_in(FINANCE)
    assert (await finance.http.get("/audit/bao-hung-yen")).status_code == 403
    stranger = await identity.signed_in(STRANGER)
    assert (await stranger.http.get("/audit/bao-hung-yen")).status_code == 404


async def test_older_entries_are_a_page_away_and_the_file_has_them_all(database):
    for number in range(130):
        await act(database, number)
    first = await service.page(database, "bao-hung-yen", Filter(), before=None, limit=50)
    second = await service.page(database, "bao-hung-yen", Filter(), before=first[49].id, limit=50)
    assert [e.subject for e in first[:50] + second[:50]] == [
        f"product/{n}" for n in range(129, 29, -1)
    ]
    everything = [
        e.subject async for e in service.all_entries(database, "bao-hung-yen", Filter(), at_once=40)
    ]
    assert everything == [f"product/{n}" for n in range(129, -1, -1)]
