"""The local stack starts everything, survives crashes, starts again quickly and ends cleanly.

The processes here are tiny real services on the real PostgreSQL and NATS of the stack.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest

from infra.local.backup import BackupError, restore_backup, save_backup
from infra.local.child import ChildError
from infra.local.forks import ForkedChild, ForkParent, can_fork
from infra.local.ports import LOOPBACK, PortTakenError, free_block, is_free
from infra.local.processes import PORTS_USED, PROCESSES, STEPS, ProcessSpec, StepSpec
from infra.local.stack import LocalStack, StackError
from infra.local.supervise import LogTail, Supervisor
from shared.forking import fork
from tests.fixtures.waiting import sync_eventually

needs_forks = pytest.mark.skipif(not can_fork(), reason="no pidfd here")

MODULE = ("python", "-m", "tests.fixtures.fake_service")
FAKES = (
    ProcessSpec("front", (*MODULE, "web"), 0, "ads", bus_user="setup", after=("back",)),
    ProcessSpec("back", (*MODULE, "web"), 1, "billing", bus_user="setup"),
)
FAKE_STEPS = (
    StepSpec("billing migrate", "migrations", (*MODULE, "migrate"), "billing", as_owner=True),
    StepSpec("ads migrate", "migrations", (*MODULE, "migrate"), "ads", as_owner=True),
    StepSpec("streams", "streams", (*MODULE, "streams"), bus_user="setup"),
    StepSpec("billing seed", "demo data", (*MODULE, "seed"), "billing"),
)


def fake_stack(data: Path, **changes) -> LocalStack:
    options = {"processes": FAKES, "steps": FAKE_STEPS, "databases": ("billing", "ads")}
    return LocalStack(data, free_block(PORTS_USED), durable=False, **{**options, **changes})


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with fake_stack(tmp_path_factory.mktemp("stack") / "local") as running:
        yield running


def get(url: str) -> dict:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


def test_every_process_is_ready_with_its_database_and_the_streams(stack):
    assert get(stack.url("back") + "/readyz")["notes"] == 1
    assert get(stack.url("front") + "/readyz")["notes"] == 0
    assert get(stack.url("front") + "/readyz")["streams"] == 1


async def test_a_service_cannot_enter_the_database_of_another(stack):
    stranger = urlsplit(stack.database_url("ads"))
    trespass = stranger._replace(path="/billing").geturl()
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="CONNECT"):
        await asyncpg.connect(trespass)


async def test_a_service_is_no_superuser_and_puts_nothing_before_its_own_tables(stack):
    """A trigger reads the tables that are found first: a temporary one would be."""
    connection = await asyncpg.connect(stack.database_url("ads"))
    try:
        for statement in (
            "CREATE ROLE thief",
            "CREATE TEMPORARY TABLE books (agency text)",
            "CREATE FUNCTION pg_temp.f() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


def test_secrets_are_private_and_not_in_the_process_table(stack):
    path = stack.data_dir / "secrets.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secrets = json.loads(path.read_text())
    visible = " ".join(psutil.Process(stack.pid("back")).cmdline())
    assert secrets["database_passwords"]["billing"] not in visible


def test_a_killed_process_stays_down_until_it_is_restarted_and_may_get_more_environment(stack):
    first = get(stack.url("back"))["pid"]
    stack.kill("back")
    assert not stack.alive("back")
    assert stack.dead() == [], "killed on purpose is not dead by accident"
    stack.restart("back", env={"EXTRA": "fault"})
    second = get(stack.url("back"))
    assert second["pid"] != first
    assert second["extra"] == "fault"
    stack.restart("back")
    assert get(stack.url("back"))["extra"] == ""


@pytest.mark.parametrize("server", ["nats", "postgres"])
def test_a_crashed_server_comes_back_with_what_it_held(stack, server):
    stack.kill(server)
    assert not stack.alive(server)
    stack.restart(server)
    state = get(stack.url("back") + "/readyz")
    assert (state["notes"], state["streams"]) == (1, 1)


def test_a_process_that_dies_by_itself_is_told_in_one_line_and_brought_back(stack):
    said: list[str] = []
    now = [1000.0]
    supervisor = Supervisor(stack, said.append, clock=lambda: now[0])
    victim = stack.pid("back")
    os.kill(victim, signal.SIGKILL)
    sync_eventually(lambda: stack.dead() == ["back"])
    supervisor.check()
    assert len(said) == 1
    assert said[0].startswith("back ended by itself (code -9): restart 1 in 1 s")
    assert stack.dead() == ["back"], "not before its delay has passed"
    now[0] += 1.0
    supervisor.check()
    stack.wait_ready("back")
    assert said[1:] == ["back started again"]
    assert get(stack.url("back"))["pid"] != victim


@needs_forks
def test_every_process_has_a_session_of_its_own_and_only_its_own_environment(stack):
    for name in ("front", "back"):
        assert os.getsid(stack.pid(name)) == stack.pid(name)
        told = set(get(stack.url(name) + "/environment"))
        assert told == set(stack.environment(name)) - {"EXTRA"} | (told & {"LC_CTYPE"})


@needs_forks
def test_processes_of_a_killed_fork_parent_end_and_are_brought_back_from_a_new_one(stack):
    said: list[str] = []
    now = [1000.0]
    supervisor = Supervisor(stack, said.append, clock=lambda: now[0])
    before = {name: stack.pid(name) for name in ("front", "back")}
    os.kill(stack.fork_parent.pid, signal.SIGKILL)
    sync_eventually(lambda: stack.dead() == ["back", "front"])
    assert all(is_free(stack.base_port + offset) for offset in (0, 1))
    supervisor.check()
    now[0] += 1.0
    supervisor.check()
    for name, pid in before.items():
        stack.wait_ready(name)
        assert stack.pid(name) != pid
    assert said[2:] == ["back started again", "front started again"]


def printed_by_forks(module: str, folder: Path, count: int = 1) -> list[str]:
    """Every word that so many forks of a program print."""
    env = {"PATH": os.defpath}
    parent = ForkParent([module], log=folder / "parent.log", env=env)
    words: list[str] = []
    try:
        for number in range(count):
            log = folder / f"{number}.log"
            child = ForkedChild(str(number), parent, [module], log=log, env=env)
            child.start()
            assert child.wait(30) == 0, log.read_text()
            words += log.read_text().split()
    finally:
        parent.stop()
    return words


@needs_forks
def test_nothing_random_is_the_same_in_two_forks(tmp_path):
    drawn = printed_by_forks("tests.fixtures.randomness", tmp_path, 3)
    assert len(drawn) == 3 * 5 and len(set(drawn)) == len(drawn)


@needs_forks
def test_a_fork_imports_nothing_more_and_reads_no_list_of_authorities(tmp_path):
    """Each did, for 13 MiB and 0.2 s of its own: httpx loads its transport with the first client."""
    assert printed_by_forks("tests.fixtures.late_imports", tmp_path) == ["authorities-1"]


@needs_forks
@pytest.mark.parametrize("ended", [False, True])
def test_a_process_that_came_too_late_is_ended_and_not_taken_for_the_next(
    tmp_path, monkeypatch, ended
):
    env = {"PATH": os.defpath}
    module = "tests.fixtures.randomness"
    parent = ForkParent([module], log=tmp_path / "parent.log", env=env)
    try:
        with monkeypatch.context() as hurried:
            hurried.setattr("infra.local.forks.START_SECONDS", 1e-6)
            with pytest.raises(ChildError, match="does not answer"):
                parent.fork([module], env, tmp_path / "late.log")
        if ended:
            late = tmp_path / "late.log"
            sync_eventually(lambda: late.exists() and len(late.read_text().split()) == 5)
            sync_eventually(lambda: not psutil.Process(parent.pid).children())
        child = ForkedChild("next", parent, [module], log=tmp_path / "next.log", env=env)
        child.start()
        assert child.wait(30) == 0
        assert len((tmp_path / "next.log").read_text().split()) == 5
    finally:
        parent.stop()


def test_a_process_with_threads_is_not_forked():
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="someone-else")
    thread.start()
    try:
        with pytest.raises(RuntimeError, match="someone-else"):
            fork(lambda: 0)
    finally:
        stop.set()
        thread.join()


def test_a_child_told_to_end_before_it_has_begun_ends():
    """Its parent's way with the signal, which it still has then, would swallow it: it would run on until it is killed."""
    program = """
import os, signal
from shared.forking import fork
signal.signal(signal.SIGTERM, lambda *_: None)
os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))
print(os.waitstatus_to_exitcode(os.waitpid(fork(lambda: 0), 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.stdout == f"{-signal.SIGTERM}\n", done.stderr


def test_everybody_who_asks_reads_the_same_exit_code(tmp_path):
    parent = ForkParent(
        ["tests.fixtures.randomness"], log=tmp_path / "parent.log", env=dict(os.environ)
    )
    try:
        for turn in range(10):
            child = ForkedChild(
                "child",
                parent,
                ["tests.fixtures.randomness"],
                log=tmp_path / "child.log",
                env={"PATH": os.defpath},
            )
            child.start()
            with ThreadPoolExecutor(8) as pool:
                codes = list(pool.map(child.wait, [30.0] * 8))
            assert codes == [0] * 8, turn
    finally:
        parent.stop()


async def test_restarting_from_a_passing_thread_does_not_tie_the_child_to_that_thread(stack):
    def in_a_loop_of_its_own() -> None:
        asyncio.run(asyncio.to_thread(stack.restart, "back"))

    await asyncio.to_thread(in_a_loop_of_its_own)
    assert get(stack.url("back"))["pid"] == stack.pid("back")


def test_a_second_stack_on_the_same_data_is_refused_in_one_line(stack):
    second = fake_stack(stack.data_dir)
    with pytest.raises(StackError, match="another `make run` already uses") as error:
        second.start()
    assert "\n" not in str(error.value)
    assert stack.alive("back")


def test_an_unknown_process_is_refused_with_the_names_there_are(stack):
    with pytest.raises(KeyError, match="postgres, nats, front, back"):
        stack.kill("bakc")


def test_a_second_start_skips_what_is_done_and_keeps_the_data(tmp_path):
    begun: list[str] = []
    first = fake_stack(tmp_path / "local", on_step=lambda title, done: done or begun.append(title))
    first.start()
    pids = [first.pid(name) for name in ("postgres", "nats", "front", "back")]
    first.stop()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert begun == [
        *("PostgreSQL", "NATS", "databases"),
        *("migrations", "streams", "demo data", "services"),
    ]
    begun.clear()
    with first:
        assert begun == ["PostgreSQL", "NATS", "databases", "services"]
        assert get(first.url("back") + "/readyz")["notes"] == 1


async def test_a_backup_put_back_holds_what_was_there_and_sets_the_rest_aside(tmp_path):
    stack = fake_stack(tmp_path / "local")
    backup = tmp_path / "backup"
    with stack, pytest.raises(BackupError, match="stop `make run` first"):
        save_backup(stack.data_dir, backup)
    save_backup(stack.data_dir, backup, stack.databases)
    assert stat.S_IMODE(backup.stat().st_mode) == 0o700
    with stack:
        owner = stack.surroundings.database_url("billing", "billing_owner")
        connection = await asyncpg.connect(owner)
        await connection.execute("DROP TABLE notes")
        await connection.close()
    aside = restore_backup(stack.data_dir, backup)
    assert (aside / "postgres").exists()
    # Without steps: what answers now comes from the backup alone.
    with LocalStack(
        stack.data_dir,
        stack.base_port,
        durable=False,
        processes=FAKES,
        steps=(),
        databases=stack.databases,
    ) as restored:
        state = get(restored.url("back") + "/readyz")
        assert (state["notes"], state["streams"]) == (1, 1)


def test_something_else_than_a_backup_is_refused_and_the_data_stays(tmp_path):
    (tmp_path / "local" / "postgres").mkdir(parents=True)
    with pytest.raises(BackupError, match="is no backup"):
        restore_backup(tmp_path / "local", tmp_path)
    assert (tmp_path / "local" / "postgres").exists()


def test_a_failing_step_stops_the_start_with_its_log_and_leaves_nothing_running(tmp_path):
    broken = StepSpec("billing seed", "demo data", (*MODULE, "fail"), "billing")
    stack = fake_stack(tmp_path / "local", steps=(*FAKE_STEPS[:3], broken))
    with pytest.raises(StackError, match="the disc is on fire"):
        stack.start()
    assert not stack.alive("postgres")
    assert not stack.alive("nats")
    assert not (stack.data_dir / "prepared").exists(), "the next start tries again"


def test_a_process_that_ends_while_starting_is_named_with_its_log(tmp_path):
    broken = replace(FAKES[1], command=(*MODULE, "fail"))
    stack = fake_stack(tmp_path / "local", processes=(broken,), steps=())
    with pytest.raises(StackError, match=r"back ended with code 1(.|\n)*disc is on fire"):
        stack.start()
    assert not stack.alive("postgres")


def test_a_taken_port_is_named_before_anything_starts(tmp_path):
    stack = fake_stack(tmp_path / "local")
    with (
        socket.create_server((LOOPBACK, stack.base_port + 1)),
        pytest.raises(PortTakenError, match=f"{stack.base_port + 1}.*back.*make run PORT="),
    ):
        stack.start()
    assert not (stack.data_dir / "postgres").exists()


def test_the_console_shows_warnings_and_errors_only_once_and_in_short(tmp_path):
    log = tmp_path / "billing-web.log"
    log.write_text('{"level": "error", "event": "before the tail began"}\n')
    tail = LogTail(tmp_path)
    with log.open("a") as out:
        out.write('{"level": "info", "event": "request"}\n')
        out.write('{"level": "error", "event": "refused", "amount_vnd": 5}\n{"level": "err')
    assert list(tail.new_lines()) == [("billing-web", "error: refused amount_vnd=5")]
    with log.open("a") as out:
        out.write('or", "event": "later"}\n')
    assert list(tail.new_lines()) == [("billing-web", "error: later")]
    assert list(tail.new_lines()) == []


def test_the_command_stops_everything_on_sigterm(tmp_path):
    """The real command line, with the tiny services in place of ours."""
    base = free_block(PORTS_USED)
    program = (
        "import sys; from infra.local import run, stack; from tests.integration import "
        "test_local_stack as fakes\n"
        "run.LocalStack = lambda data, port, **more: stack.LocalStack(data, port, **more, "
        "processes=fakes.FAKES, steps=fakes.FAKE_STEPS, databases=('billing', 'ads'))\n"
        "run.ensure_assets = lambda folder: None\n"
        "sys.exit(run.main())\n"
    )
    arguments = ["--headless", "--port", str(base), "--data-dir", str(tmp_path / "local")]
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True
    ) as command:
        lines = []
        for line in command.stdout:
            lines.append(line)
            if line.startswith("ready"):
                break
        family = psutil.Process(command.pid).children(recursive=True)
        assert len(family) >= 4
        assert not is_free(base)
        command.terminate()
        rest = command.stdout.read()
        assert command.wait(30) == 0
    assert f"127.0.0.1:{base + 32}" in "".join(lines)
    assert "stopped; the data is kept" in rest
    assert not [process for process in family if process.is_running()]
    assert all(is_free(base + offset) for offset in (0, 1, 22, 32))


def test_the_table_of_processes_is_consistent():
    ports = [spec.port for spec in PROCESSES]
    names = [spec.name for spec in PROCESSES] + [step.name for step in STEPS]
    assert len(set(ports)) == len(ports)
    assert max(ports) < 22
    assert len(set(names)) == len(names)
