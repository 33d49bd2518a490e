"""Every command of every service, and of the bus's set-up, says in one line that a server is away or a setting is wrong."""

from __future__ import annotations

import json
import re

import pytest

from tests.fixtures.command_line import REPOSITORY, command

AWAY = {"DATABASE_URL": "postgresql://x:y@127.0.0.1:1/x", "NATS_URL": "nats://127.0.0.1:1"}
WRONG = {"DATABASE_URL": "mysql://x", "NATS_REPLICAS": "three"}
MISSING = {"DATABASE_URL": "", "NATS_REPLICAS": "-1"}
NO_SERVER_NEEDED = {("infra.nats", "server-config")}
PACKAGES = sorted(
    str(path.parent.relative_to(REPOSITORY)).replace("/", ".")
    for folder in ("services", "shared", "infra")
    for path in (REPOSITORY / folder).rglob("__main__.py")
    if "service_cli(" in (text := path.read_text(encoding="utf-8")) or "command_line(" in text
)


def test_all_command_lines_are_looked_at():
    assert {"services.identity", "shared.metrics", "infra.nats"} <= set(PACKAGES)
    assert len(PACKAGES) == 6


@pytest.mark.parametrize("package", PACKAGES)
def test_every_command_says_in_one_line_what_is_away_or_wrong(package, tmp_path):
    file = tmp_path / "agencies.toml"
    file.write_text('[[agencies]]\nid = "bao-thu"\nname = "Báo Thử"\n', encoding="utf-8")
    environments = json.dumps([AWAY, AWAY | WRONG, AWAY | MISSING])
    done = command(
        "tests.fixtures.every_command", package, str(file), environments, LOG_LEVEL="CRITICAL"
    )
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) >= 3
    for one in told:
        if (package, one["command"]) in NO_SERVER_NEEDED:
            continue
        assert one["raised"] is None, one
        (line,) = one["said"].strip().splitlines()
        assert one["status"] == (1 if one["environment"] == AWAY else 78), one
        assert {"DATABASE_URL", "NATS_URL", "NATS_REPLICAS"} & set(re.findall(r"\w+", line)), one
        if one["status"] == 1:
            named = f"{package.rpartition('.')[2]} {one['command'].split()[0]}: "
            assert line.startswith(named), one


def test_a_command_says_what_a_database_that_is_there_will_not_do(create_database):
    """No such database, no schema yet: each says what would mend it."""
    url = create_database("empty")
    for address, said in (
        (url.rpartition("/")[0] + "/nowhere", "its database refuses"),
        (url, "`migrate` brings it"),
    ):
        done = command("services.ads", "audit", "verify", DATABASE_URL=address)
        assert done.returncode == 1
        (line,) = done.stderr.strip().splitlines()
        assert said in line and "DATABASE_URL" in line


@pytest.mark.parametrize(
    ("package", "variable"),
    [
        ("infra.news_site", "PORT"),
        ("infra.stripe_sandbox", "STRIPE_SANDBOX_PORT"),
        ("infra.stripe_sandbox", "BANK_SANDBOX_WEBHOOK_SECRETS"),
    ],
)
def test_what_stands_in_for_others_names_a_setting_that_is_wrong_too(package, variable):
    done = command(package, **{variable: "many"})
    assert done.returncode == 78 and "Traceback" not in done.stderr
    assert f"  {variable}  " in done.stderr
