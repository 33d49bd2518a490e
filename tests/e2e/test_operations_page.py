"""Every command that docs/operations.md shows does beside `make run` what the page says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

from infra.local.command import surrounded
from infra.local.stack import REPOSITORY, LocalStack
from tests.fixtures.command_line import command

PAGE = (REPOSITORY / "docs/operations.md").read_text(encoding="utf-8")
AGENCY = "bao-hung-yen"
BESIDE = ".venv/bin/python -m infra.local.command --port 8000 "

#: Lines of fenced blocks that do not run here, with the reason.
NOT_HERE = {
    "docker compose run --rm paywall-rebuild": "needs Docker; tests/architecture/test_compose.py compares the commands",
    "make up": "needs Docker; `make prove-compose` proves what it starts",
    "make down": "needs Docker",
    "make backup": "the stack must be stopped; tests/integration/test_local_stack.py",
    "make restore": "the stack must be stopped; tests/integration/test_local_stack.py",
}
#: What stands for the reader's own values.
FILLED = {
    "billing …": "billing webhooks list",
    "<agency> <email> <name>": f"{AGENCY} operator@hung-yen.example 'Nguyễn Lan'",
    "break-glass <email>": "break-glass finance@dai-song-hong.example",
    "docker compose run --rm billing-worker python -m services.billing bank-account": "python -m services.billing bank-account",
    "<agency>": AGENCY,
}
#: The table of commands: what it writes, and what is run.
TABLE = {
    "paywall dead-letters": ["paywall dead-letters", "metrics dead-letters"],
    "… dead-letters --replay <id>": [
        "paywall dead-letters --replay 00000000-0000-0000-0000-000000000007"
    ],
    "--replay-all": ["metrics dead-letters --replay-all --by Lan"],
    "billing outbox refused": ["billing outbox refused", "paywall outbox refused"],
    "… outbox retry": ["ads outbox retry"],
    "… outbox republish --since 2026-11-25T08:00+07:00": [
        "ads outbox republish --since 2026-11-25T08:00+07:00"
    ],
    "billing webhooks list": ["billing webhooks list"],
    "--state waiting": ["billing webhooks list --state waiting"],
    "handled": ["billing webhooks list --state handled"],
    "all": ["billing webhooks list --state all"],
    "billing webhooks replay evt_…": ["billing webhooks replay evt_1"],
    "--all": ["billing webhooks replay --all"],
    "billing letters list": ["billing letters list"],
    "letters list --state sent": ["billing letters list --state sent"],
    "billing letters retry <id>": [
        "billing letters retry 00000000-0000-0000-0000-000000000007 --by Lan"
    ],
    "letters retry --all": ["billing letters retry --all"],
    "letters drop --all": ["billing letters drop --all"],
    "billing move-stripe-subscribers --agency A --dry-run": [
        f"billing move-stripe-subscribers --agency {AGENCY} --dry-run"
    ],
    "paywall rebuild-entitlements": ["--bus-user setup paywall rebuild-entitlements"],
    "… audit verify": ["paywall audit verify", "identity audit verify"],
    "audit export --agency A": [f"ads audit export --agency {AGENCY}"],
    "ads rebuild-counters": ["ads rebuild-counters"],
    "metrics import-baseline FILE --agency A": [
        "metrics import-baseline infra/demo/baseline/dai-thai-binh.csv --agency dai-thai-binh"
    ],
    "import-revenue FILE --agency A": [
        "metrics import-revenue infra/demo/revenue/dai-thai-binh-2025.csv --agency dai-thai-binh"
    ],
    "… setup agencies.toml": ["ads setup agencies.toml", "paywall setup agencies.toml --by Lan"],
    "… migrate": ["billing migrate", "identity migrate"],
    # Last: it gives the account of `break-glass` its demo password again.
    "… seed": ["billing seed", "identity seed"],
}
AGENCIES = '[[agencies]]\nid = "bao-thu"\nname = "Báo Thử"\n'


def fenced() -> list[str]:
    """The lines of the page's fenced blocks, without their remarks."""
    blocks = re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)
    return [re.sub(r"\s{2,}#.*", "", line) for block in blocks for line in block.splitlines()]


def in_table() -> list[str]:
    rows = PAGE.partition("| command | what it does |")[2].partition("\n\n")[0].splitlines()[2:]
    return [code for row in rows for code in re.findall(r"`([^`]+)`", row.split(" | ")[0])]


def beside(line: str) -> str | None:
    """The words after ``infra.local.command`` of a documented line; None where it does not run here."""
    if any(line.startswith(start) for start in NOT_HERE):
        return None
    for blank, value in FILLED.items():
        line = line.replace(blank, value)
    for start in (BESIDE, "python -m services."):
        if line.startswith(start):
            return line.removeprefix(start)
    raise AssertionError(f"neither run nor named as one that cannot: {line}")


def test_the_lists_are_those_of_the_page():
    assert in_table() == list(TABLE)
    lines = fenced()
    assert [start for start in NOT_HERE if not any(line.startswith(start) for line in lines)] == []
    assert [blank for blank in FILLED if not any(blank in line for line in lines)] == []
    assert any(beside(line) for line in lines)


COMMANDS = dict.fromkeys(
    [*filter(None, map(beside, fenced())), *chain.from_iterable(TABLE.values())]
)


@pytest.mark.parametrize("words", COMMANDS)
def test_a_documented_command_runs_beside_make_run(
    words: str, local_stack: LocalStack, tmp_path: Path
):
    agencies = tmp_path / "agencies.toml"
    agencies.write_text(AGENCIES, encoding="utf-8")
    service, *arguments = shlex.split(words.replace("agencies.toml", str(agencies)))
    at = (local_stack.base_port, local_stack.data_dir)
    if service.startswith("--"):  # an option of infra.local.command: as it is typed
        typed = ("--port", str(at[0]), "--data-dir", str(at[1]), service, *arguments)
        done = subprocess.run(
            [sys.executable, "-m", "infra.local.command", *typed],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
    else:
        (package, *rest), environment = surrounded(service, arguments, *at)
        done = command(package, *rest, **environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip(), "it says nothing"
