"""Set-up on a real database: agencies, plans, policies and targets from the operator's file, twice; and no invented data."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import psycopg
import pytest

from shared.database.migrations import migrate
from shared.startup import EXIT_CONFIGURATION
from tests.fixtures.command_line import REPOSITORY, command

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


@pytest.mark.parametrize("package", SEEN)
def test_what_set_up_changes_of_an_agency_is_on_the_trail_by_name(
    package, create_database, template_database, tmp_path
):
    name = "setup_" + package.rpartition(".")[2]
    url = create_database(
        name, template_database(name, lambda one: asyncio.run(migrate(one, package)))
    )
    file, site = tmp_path / "agencies.toml", "http://127.0.0.1:8000"
    for by, website in (("Lan", site), ("Lan", site), ("Hoa", "http://127.0.0.1:8009")):
        file.write_text(FILE.replace(site, website))
        done = command(package, "setup", str(file), "--by", by, DATABASE_URL=url)
        assert done.returncode == 0, done.stderr
    with psycopg.connect(url) as connection:
        first, *more = connection.execute(
            """SELECT actor_kind, actor, agency, subject, before, after FROM audit_entry
               WHERE action = 'agency-saved' ORDER BY id"""
        ).fetchall()
        others = connection.execute(
            "SELECT DISTINCT actor FROM audit_entry WHERE action <> 'agency-saved'"
        ).fetchall()
    here = ("bao-moi", "agency/bao-moi")
    made = {"name": "Báo Mới", "time_zone": "Asia/Ho_Chi_Minh"}
    made |= {"website": site, "further_websites": []}
    assert first == ("command", "setup (Lan)", *here, None, made)
    moved = ({"website": site}, {"website": "http://127.0.0.1:8009"})
    assert more == [("command", "setup (Hoa)", *here, *moved)], "the second run changed nothing"
    assert others in ([], [("setup (Lan)",)])


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


def test_make_up_on_four_terminals_at_once_makes_one_set_of_secrets(tmp_path):
    """Else the last `.env` wins, and whoever has read another cannot open what was made with it."""
    words = [sys.executable, "-m", "infra.compose.configure", "--demo", "--folder", str(tmp_path)]
    running = [
        subprocess.Popen(words, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    said = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0] * 4
    assert sorted(said) == ["", "", "", "made .env\nmade agencies.toml\n"]
