"""The servers of the local run and of the tests are real, bounded, and leave nothing behind."""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import nats
import psutil
import pytest

from infra.local.child import Child, ChildError
from infra.local.nats import Nats
from infra.local.ports import LOOPBACK, PortTakenError, free_block, free_port, is_free
from infra.local.postgres import Postgres, PostgresError, _Identity
from tests.fixtures.roles import grant_as_migrations_do
from tests.fixtures.waiting import sync_eventually


@pytest.fixture
def own_postgres(tmp_path: Path):
    server = Postgres(tmp_path / "data" / "postgres", free_port(), fsync=False)
    yield server
    server.stop()


@pytest.fixture
def own_nats(tmp_path: Path):
    server = Nats(tmp_path / "nats", free_port(), user="press", password="p-s_s1")
    yield server
    server.stop()


async def query(url: str, sql: str):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_postgres_answers_over_tcp_and_keeps_its_data_across_a_crash(own_postgres):
    own_postgres.start()
    own_postgres.execute("CREATE TABLE kept (n integer); INSERT INTO kept VALUES (42)")
    own_postgres.kill()
    assert not own_postgres.alive
    assert (own_postgres.data / "postmaster.pid").exists(), "a crash leaves its lock file"
    own_postgres.start()
    assert await query(own_postgres.url(), "SELECT n FROM kept") == 42


async def test_postgres_answers_on_its_unix_socket_even_below_a_very_long_path(tmp_path):
    deep = tmp_path / ("a-very-long-directory-name-" * 4) / "postgres"
    server = Postgres(deep, free_port(), fsync=False).start()
    try:
        connection = await asyncpg.connect(
            host=str(server.socket_directory),
            port=server.port,
            user="press",
            password=server.password,
            database="postgres",
        )
        assert await connection.fetchval("SELECT inet_server_addr()") is None
        await connection.close()
    finally:
        server.stop()


async def test_a_wrong_password_is_refused_and_the_right_one_is_kept_private(own_postgres):
    own_postgres.start()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await query(own_postgres.url(password="guess"), "SELECT 1")
    mode = (own_postgres.data / "superuser.password").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_lock_file_that_names_a_stranger_does_not_prevent_the_start(own_postgres):
    own_postgres.start()
    own_postgres.stop()
    stranger = psutil.Process().pid
    (own_postgres.data / "postmaster.pid").write_text(f"{stranger}\n{own_postgres.data}\n")
    own_postgres.start()
    assert own_postgres.answers()


def test_a_second_server_on_the_same_data_is_refused_by_name(own_postgres):
    own_postgres.start()
    second = Postgres(own_postgres.data, free_port())
    with pytest.raises(PostgresError, match=f"pid {own_postgres.pid} already runs"):
        second._wait_for_predecessor(timeout_seconds=0.2)


def test_a_statement_that_fails_says_what_postgres_said(own_postgres):
    own_postgres.start()
    with pytest.raises(PostgresError, match='relation "nowhere" does not exist'):
        own_postgres.execute("SELECT * FROM nowhere")


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _colon, value in (line.partition(":") for line in lines)}


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs PostgreSQL as they are")
def test_root_runs_postgres_as_nobody_with_one_capability_below_a_closed_home(
    own_postgres, tmp_path
):
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o700)
    own_postgres.start()
    status = _status(own_postgres.pid)
    assert set(status["Uid"].split()) == {str(pwd.getpwnam("nobody").pw_uid)}
    assert int(status["CapEff"], 16) == 1 << 1, "CAP_DAC_OVERRIDE and nothing else"


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs PostgreSQL as they are")
def test_root_lets_postgres_reach_programs_below_a_closed_home(tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    program = home / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    # As initdb asks: access(2) leaves capabilities aside unless told otherwise.
    assert subprocess.run([*_Identity().prefix, "test", "-x", program], check=False).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can own what PostgreSQL may not")
def test_data_that_root_owns_from_a_restore_by_hand_is_given_to_postgres(own_postgres):
    own_postgres.start()
    own_postgres.stop()
    for path in [own_postgres.data, *own_postgres.data.rglob("*")]:
        os.chown(path, 0, 0, follow_symlinks=False)
    own_postgres.start()
    assert own_postgres.answers()


@pytest.mark.parametrize(
    ("setpriv", "said"), [("missing", "util-linux"), ("refusing", "Operation not permitted")]
)
def test_root_that_may_not_become_another_is_told_what_to_do(
    own_postgres, monkeypatch, tmp_path, setpriv, said
):
    refusing = tmp_path / "bin" / "setpriv"
    refusing.parent.mkdir()
    if setpriv == "refusing":
        refusing.write_text(
            "#!/bin/sh\necho 'setpriv: setuid: Operation not permitted' >&2\nexit 127\n"
        )
        refusing.chmod(0o755)
    monkeypatch.setenv("PATH", str(refusing.parent))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(PostgresError, match="run this as an ordinary user") as error:
        own_postgres.start()
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["PostgreSQL", "nats-server"])
def test_a_taken_port_gives_one_line_with_the_port_who_wants_it_and_the_setting(tmp_path, kind):
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        server = (
            Postgres(tmp_path / "pg", port, port_setting="make run PORT=…")
            if kind == "PostgreSQL"
            else Nats(tmp_path / "nats", port, port_setting="make run PORT=…")
        )
        with pytest.raises(PortTakenError) as error:
            server.start()
    message = str(error.value)
    assert "\n" not in message
    assert all(part in message for part in (str(port), kind, "make run PORT=…"))


def test_a_server_that_cannot_start_raises_with_its_last_log_lines(tmp_path):
    server = Postgres(
        tmp_path / "pg", free_port(), fsync=False, settings={"shared_buffers": "nonsense"}
    )
    with pytest.raises(ChildError, match="shared_buffers"):
        server.start()
    assert not server.alive


async def test_nats_keeps_acknowledged_messages_across_a_crash(tmp_path):
    server = Nats(tmp_path / "nats", free_port(), sync_interval="always").start()
    try:
        connection = await nats.connect(server.url)
        await connection.jetstream().add_stream(name="KEPT", subjects=["kept.>"])
        await connection.jetstream().publish("kept.one", b"1")
        await connection.close()
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        connection = await nats.connect(server.url)
        info = await connection.jetstream().stream_info("KEPT")
        assert info.state.messages == 1
        await connection.close()
    finally:
        server.stop()


async def test_nats_refuses_clients_without_its_password(own_nats):
    await asyncio.to_thread(own_nats.start)
    reader, writer = await asyncio.open_connection("127.0.0.1", own_nats.port)
    assert (await reader.readline()).startswith(b"INFO")
    writer.write(b"CONNECT {}\r\nPING\r\n")
    assert b"Authorization Violation" in await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    connection = await nats.connect(own_nats.url)
    await connection.close()
    assert stat.S_IMODE((own_nats.store / "nats.conf").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "credentials",
    [{"token": "a:b"}, {"user": "a@b", "password": "c"}, {"user": "a", "password": "%20"}],
)
def test_credentials_that_a_nats_url_cannot_carry_are_refused(tmp_path, credentials):
    with pytest.raises(ValueError, match="letters, digits"):
        Nats(tmp_path, 4222, **credentials)


def test_servers_die_with_the_process_that_started_them_even_when_it_is_killed(tmp_path):
    program = (
        "import pathlib, sys, time\n"
        "from infra.local.postgres import Postgres\n"
        "from infra.local.nats import Nats\n"
        "from infra.local.ports import free_port\n"
        "root = pathlib.Path(sys.argv[1])\n"
        "pg = Postgres(root / 'pg', free_port(), fsync=False).start()\n"
        "nats = Nats(root / 'nats', free_port()).start()\n"
        "print(pg.pid, nats.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(psutil.pid_exists(pid) for pid in pids)
        parent.kill()
    sync_eventually(lambda: not any(_runs(pid) for pid in pids))


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_child_that_ignores_its_signal_is_killed_within_the_bound(tmp_path):
    stubborn = Child(
        "stubborn",
        [
            sys.executable,
            "-u",
            "-c",
            "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
            "print('deaf'); time.sleep(600)",
        ],
        log=tmp_path / "log",
    )
    stubborn.start()
    stubborn.wait_until(lambda: "deaf" in (tmp_path / "log").read_text(), 10)
    begun = time.monotonic()
    assert stubborn.stop(timeout_seconds=0.3) == -9
    assert time.monotonic() - begun < 5


def test_a_free_block_is_free_throughout():
    base = free_block(40)
    assert all(is_free(port) for port in range(base, base + 40))


async def test_each_created_database_is_a_copy_of_the_template_built_once(
    template_database, create_database, tmp_path
):
    built = []

    def migrate(url: str) -> None:
        built.append(url)
        asyncio.run(query(url, "CREATE TABLE shape (n integer)"))
        grant_as_migrations_do(url)

    # The name is this worker's own: other workers may run this test's siblings.
    name = f"local_servers_{tmp_path.name.replace('-', '_').lower()}"
    template = template_database(name, migrate)
    assert template_database(name, migrate) == template
    assert len(built) == 1
    first, second = create_database("copy", template), create_database("copy", template)
    await query(first, "INSERT INTO shape VALUES (1)")
    assert await query(first, "SELECT count(*) FROM shape") == 1
    assert await query(second, "SELECT count(*) FROM shape") == 0


def test_a_migration_that_fails_is_tried_again_by_the_next_who_asks(postgres_server, tmp_path):
    name = f"failing_{tmp_path.name.replace('-', '_').lower()}"

    def broken(_url: str) -> None:
        raise ValueError("no such column")

    with pytest.raises(ValueError, match="no such column"):
        postgres_server.template_database(name, broken)
    assert postgres_server.template_database(name, lambda _url: None) == f"template_{name}"


@pytest.mark.parametrize("turn", [1, 2])
async def test_every_test_begins_with_an_empty_jetstream(nats_url, turn):
    connection = await nats.connect(nats_url)
    try:
        assert await connection.jetstream().streams_info() == []
        await connection.jetstream().add_stream(name=f"LEFT{turn}", subjects=["left"])
    finally:
        await connection.close()


async def test_a_page_on_the_phone_is_390_wide_and_speaks_vietnamese(phone):
    page = await phone.new_page()
    await page.set_content("<meta name=viewport content='width=device-width'><p>chào</p>")
    assert await page.evaluate("[innerWidth, navigator.language]") == [390, "vi-VN"]


async def test_a_page_on_the_desktop_is_1280_wide(desktop):
    page = await desktop.new_page()
    assert await page.evaluate("innerWidth") == 1280
