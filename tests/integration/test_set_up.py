"""Set-up on a real database: agencies, plans, policies and targets from the operator's file, twice; and no invented data."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from shared.database.migrations import migrate
from shared.startup import EXIT_CONFIGURATION

REPOSITORY = Path(__file__).parents[2]
FILE = """
[[agencies]]
id = "bao-moi"
name = "Báo Mới"
website = "http://127.0.0.1:8000"
free_articles = {anonymous = 2, registered = 4}
[[agencies.plans]]
code = "doc-bao"
name_vi = "Đọc báo"
name_en = "Reading"
prices = {month = 49000, year = 490000}
[[targets]]
agency = "bao-moi"
deadline = 2030-12-31
ratio = "0.20"
"""
SEEN = {
    "services.billing": "SELECT count(*) FROM plan_price WHERE superseded_at IS NULL",
    "services.paywall": "SELECT count(*) FROM policy_version",
    "services.ads": "SELECT count(*) FROM agency",
    "shared.metrics": "SELECT count(*) FROM growth_target",
    "services.identity": "SELECT count(*) FROM agency",
}


def command(package: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "ENVIRONMENT": "local", **variables}
    return subprocess.run(
        [sys.executable, "-m", package, *words],
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("package", SEEN)
def test_the_operators_agencies_are_taken_in_and_again(
    package, create_database, template_database, tmp_path
):
    name = "setup_" + package.rpartition(".")[2]
    url = create_database(
        name, template_database(name, lambda one: asyncio.run(migrate(one, package)))
    )
    file = tmp_path / "agencies.toml"
    file.write_text(FILE)
    for _twice in range(2):
        done = command(package, "setup", str(file), DATABASE_URL=url)
        assert done.returncode == 0, done.stderr
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT id FROM agency").fetchall() == [("bao-moi",)]
        (count,) = connection.execute(SEEN[package]).fetchone()
    assert count == (2 if package == "services.billing" else 1)


def test_a_wrong_file_changes_nothing_and_ends_with_its_place(tmp_path):
    file = tmp_path / "agencies.toml"
    file.write_text(FILE.replace("month = 49000", "month = -1"))
    done = command(
        "services.billing", "setup", str(file), DATABASE_URL="postgresql://x:y@localhost:1/z"
    )
    assert done.returncode == 1
    assert "prices.month" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("package", SEEN)
def test_invented_data_is_refused_in_production(package):
    public = {
        name: f"https://{name.lower().replace('_', '')}.baohungyen.vn"
        for name in (
            "NEWS_SITE_URL",
            "BILLING_URL",
            "PAYWALL_URL",
            "ADS_URL",
            "METRICS_URL",
            "IDENTITY_URL",
        )
    }
    done = command(
        package,
        "seed",
        **public,
        ENVIRONMENT="production",
        DATABASE_URL="postgresql://x:0f1e2d3c4b5a69788796a5b4c3d2e1f0@localhost:1/z",
    )
    assert done.returncode == EXIT_CONFIGURATION, done.stderr
    assert "never loaded in production" in done.stderr
