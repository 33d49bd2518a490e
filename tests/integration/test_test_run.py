"""A test run starts what it needs, says what it did per tier, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.fixtures.distribution import OneStackScheduling
from tests.fixtures.waiting import sync_eventually

REPOSITORY = Path(__file__).resolve().parents[2]
SLOW = """
import pathlib, time

def test_that_lasts(postgres_server):
    pathlib.Path({latch!r}).write_text(postgres_server.url())
    time.sleep(100)
"""


def run_pytest(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PRESS"))}
    environment["TMPDIR"] = str(tmp_path)
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *arguments],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def using(directory: Path) -> list[psutil.Process]:
    """Processes whose command line names the directory."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE
        and any(str(directory) in part for part in process.info["cmdline"] or [])
    ]


@pytest.fixture
def scratch_test():
    """A test file in the integration tier, away again after the test."""
    path = REPOSITORY / "tests" / "integration" / f"test_scratch_{os.getpid()}.py"
    yield path
    path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("nodeid", "scope"),
    [
        ("tests/e2e/test_story.py::test_reader", "e2e"),
        ("tests/e2e/pages/test_wall.py::test_phone[390]", "e2e"),
        ("tests/faults/test_relay.py::TestRelay::test_x", "tests/faults/test_relay.py"),
    ],
)
def test_end_to_end_tests_share_a_worker_and_elsewhere_a_file_does(nodeid, scope):
    assert OneStackScheduling._split_scope(None, nodeid) == scope


def test_a_run_on_two_workers_prints_its_tiers_and_leaves_nothing(tmp_path):
    with run_pytest(
        tmp_path,
        *("-n", "2", "tests/unit/test_tiers.py"),
        "tests/integration/test_local_servers.py::test_each_created_database_is_a_copy_of_the_"
        "template_built_once",
    ) as run:
        output = run.stdout.read()
        assert run.wait(60) == 0, output
    assert re.search(r"^unit +9 +0 +\d+\.\d$", output, re.MULTILINE), output
    assert re.search(r"^integration +1 +0 +\d+\.\d$", output, re.MULTILINE), output
    assert using(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("press-")] == []


def test_postgres_ends_with_a_run_that_is_killed(tmp_path, scratch_test):
    latch = tmp_path / "running"
    scratch_test.write_text(SLOW.format(latch=str(latch)))
    with run_pytest(tmp_path, str(scratch_test)) as run:
        sync_eventually(latch.exists, seconds=30)
        assert using(tmp_path), "the server runs on a directory of its own"
        os.kill(run.pid, signal.SIGKILL)
    sync_eventually(lambda: not using(tmp_path), seconds=30)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("press-test")] == []
