"""The local stack's decisions, without a process in sight."""

from __future__ import annotations

import json

import pytest

from infra.local.assets import lock_fingerprint
from infra.local.databases import roles_of
from infra.local.debian import ensure
from infra.local.local_secrets import load_or_create
from infra.local.processes import PROCESSES, STEPS, ProcessSpec, Surroundings
from infra.local.stack import REPOSITORY, code_fingerprint, waves
from infra.local.supervise import Repetitions, restart_delay, serious


def spec(name: str, *after: str) -> ProcessSpec:
    return ProcessSpec(name, ("python",), 0, after=after)


@pytest.mark.parametrize(
    ("failures", "delay"),
    [(1, 1.0), (2, 2.0), (3, 4.0), (5, 16.0), (6, 30.0), (7, None), (100, None)],
)
def test_restarts_wait_twice_as_long_each_time_and_end(failures, delay):
    assert restart_delay(failures) == delay


def test_what_comes_after_starts_in_a_later_wave():
    groups = waves([spec("c", "a", "b"), spec("a"), spec("b", "a"), spec("d")])
    assert [[one.name for one in group] for group in groups] == [["a", "d"], ["b"], ["c"]]


@pytest.mark.parametrize("circle", [[spec("a", "b"), spec("b", "a")], [spec("a", "nobody")]])
def test_a_circle_or_an_unknown_predecessor_is_refused(circle):
    with pytest.raises(ValueError, match="nothing can start first"):
        waves(circle)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('{"level": "info", "event": "fine"}', None),
        ('{"level": "warning", "event": "slow", "seconds": 3}', "warning: slow seconds=3"),
        (
            '{"level": "error", "event": "x", "exception": "Traceback\\n  at y\\nValueError: z"}',
            "error: x (ValueError: z)",
        ),
        ("{not json, ERROR", None),
        ('["a list"]', None),
        ("2026-01-01 UTC [7] ERROR:  duplicate key", "2026-01-01 UTC [7] ERROR:  duplicate key"),
        ("[12] [WRN] Slow consumer", "[12] [WRN] Slow consumer"),
        ("INFO: no errors to speak of", None),
        ("FATAL:  terminating connection due to idle-session timeout", None),
        ("FATAL:  terminating connection due to administrator command",) * 2,
    ],
)
def test_only_warnings_and_errors_reach_the_console(line, shown):
    assert serious(line) == shown


def test_the_fingerprint_changes_with_the_code_and_with_the_steps(tmp_path):
    migration = tmp_path / "services" / "ads" / "0001.py"
    migration.parent.mkdir(parents=True)
    migration.write_text("one")
    first = code_fingerprint(STEPS, tmp_path)
    assert code_fingerprint(STEPS, tmp_path) == first
    assert code_fingerprint(STEPS[1:], tmp_path) != first
    migration.write_text("two")
    assert code_fingerprint(STEPS, tmp_path) != first


def test_secrets_are_generated_once_and_a_missing_one_is_added(tmp_path):
    path = tmp_path / "secrets.json"
    first = load_or_create(path, ["ads"])
    assert load_or_create(path, ["ads"]) == first
    kept = json.loads(path.read_text())
    del kept["nats_passwords"]["setup"], kept["bank_secrets"]["dai-song-hong/payos"]
    path.write_text(json.dumps(kept))
    second = load_or_create(path, ["ads", "billing"])
    assert second.stripe_secret_key == first.stripe_secret_key
    assert second.database_passwords["ads"] == first.database_passwords["ads"]
    assert second.database_passwords["billing"]
    assert second.bank_secrets.keys() == first.bank_secrets.keys()
    assert second.bank_secrets["bao-hung-yen/sepay"] == first.bank_secrets["bao-hung-yen/sepay"]
    assert second.nats_passwords["setup"] != first.nats_passwords["setup"]
    assert second.nats_passwords["ads-worker"] == first.nats_passwords["ads-worker"]


def test_only_billing_and_the_sandbox_know_the_payment_keys(tmp_path):
    secrets = load_or_create(tmp_path / "secrets.json", ["billing", "paywall", "ads"])
    others = {role: role for role in roles_of(["metrics", "identity"])}
    databases = {**secrets.database_passwords, **others}
    secrets = type(secrets)(**{**vars(secrets), "database_passwords": databases})
    surroundings = Surroundings(9000, tmp_path, tmp_path, secrets)
    knowing = {
        one.name
        for one in (*PROCESSES, *STEPS)
        if secrets.stripe_webhook_secret in surroundings.environment(one).values()
    }
    assert knowing == {"stripe-sandbox", "billing-web"}
    one = secrets.bank_secrets["bao-hung-yen/sepay"]
    knowing = {
        spec.name
        for spec in (*PROCESSES, *STEPS)
        if any(one in value for value in surroundings.environment(spec).values())
    }
    assert knowing == {"stripe-sandbox", "billing-web"}


def test_each_process_gets_its_port_its_own_database_and_everybodys_address(tmp_path):
    secrets = load_or_create(tmp_path / "secrets.json", ["ads"])
    ads = next(one for one in PROCESSES if one.name == "ads-web")
    environment = Surroundings(9000, tmp_path, tmp_path, secrets).environment(ads)
    assert environment["PORT"] == "9003"
    assert environment["BILLING_URL"] == "http://127.0.0.1:9001"
    assert environment["STRIPE_SANDBOX_URL"] == "http://127.0.0.1:9006"
    assert environment["BANK_SANDBOX_URL"] == "http://127.0.0.1:9006/bank"
    password = secrets.database_passwords["ads"]
    server = "127.0.0.1:9032"
    assert (
        environment["DATABASE_URL"] == f"postgresql://ads:{password}@{server}/ads?sslmode=disable"
    )
    assert "NATS_URL" not in environment, "a web process publishes by its outbox and knows no bus"


def test_a_missing_debian_package_is_named_with_the_command_when_we_may_not_install():
    line = ensure(["wrk", "chromium"], is_present=lambda name: name == "wrk", may_install=False)
    assert line == "missing: chromium; type: sudo apt-get install chromium"


@pytest.mark.parametrize(("works", "line"), [(True, None), (False, "missing: wrk")])
def test_a_missing_debian_package_is_installed_as_root_and_the_result_is_checked(works, line):
    there: set[str] = set()

    def install(packages) -> bool:
        there.update(packages if works else ())
        return True

    said = ensure(["wrk"], is_present=there.__contains__, may_install=True, run_install=install)
    assert said is None if line is None else said.startswith(line)


def test_an_unknown_debian_package_is_a_mistake():
    with pytest.raises(ValueError, match="unknown packages"):
        ensure(["wrk2"])


def test_the_lock_of_the_web_assets_pins_by_hash_and_names_no_registry():
    lock = json.loads((REPOSITORY / "package-lock.json").read_text())
    packages = {name: one for name, one in lock["packages"].items() if name}
    assert packages
    assert all(one["integrity"].startswith("sha512-") for one in packages.values())
    assert not [name for name, one in packages.items() if "resolved" in one]


def test_other_pinned_assets_are_fetched_again(tmp_path):
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "package-lock.json").write_text("{}")
    assert lock_fingerprint(tmp_path) != lock_fingerprint()


def test_a_line_that_repeats_is_shown_once_and_later_with_its_count():
    now = [0.0]
    repetitions = Repetitions(quiet_seconds=30, clock=lambda: now[0])
    shown = []
    for at in (0, 1, 2, 29, 31, 32):
        now[0] = at
        shown.append(repetitions.show("ads-worker", "error: x"))
    assert shown == ["error: x", None, None, None, "error: x (and 3 times before)", None]
    assert repetitions.show("paywall-worker", "error: x") == "error: x"
