"""A command beside `make run`: what it is given, and what is left to the service's own command line."""

from __future__ import annotations

import os

import pytest
from typer.testing import CliRunner

from infra.local import processes as data
from infra.local.command import app
from infra.local.local_secrets import load_or_create


@pytest.fixture
def become(tmp_path, monkeypatch):
    """Runs the module; gives the words and the environment of what it becomes."""
    secrets = load_or_create(tmp_path / "secrets.json", data.DATABASES)
    seen: list[tuple[tuple[str, ...], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda _path, words, env: seen.append((words, env)))
    monkeypatch.setattr(os, "chdir", lambda _path: None)
    for name in ("NATS_URL", "PRESS_PORT", "PRESS_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str):
        done = CliRunner().invoke(app, ["--port", "9400", "--data-dir", str(tmp_path), *words])
        return done, (seen[-1] if seen else None), secrets

    return run


@pytest.mark.parametrize("service", sorted(data.PACKAGES))
def test_a_command_signs_in_to_the_bus_as_its_services_worker(become, service):
    _, (words, env), secrets = become(service, "outbox", "refused")
    assert words[1:] == ("-m", data.PACKAGES[service], "outbox", "refused")
    user = f"{service}-worker"
    if user in data.WORKERS:
        port = 9400 + data.NATS_OFFSET
        assert env["NATS_URL"] == f"nats://{user}:{secrets.nats_passwords[user]}@127.0.0.1:{port}"
    else:
        assert "NATS_URL" not in env


def test_the_set_ups_credential_is_given_only_by_name(become):
    _, (words, env), _ = become("--bus-user", "setup", "paywall", "rebuild-entitlements")
    assert env["NATS_URL"].startswith("nats://setup:")
    assert not any(env["NATS_URL"] in word for word in words), "it would stand in the process table"
    done, _, _ = become("--bus-user", "root", "paywall", "rebuild-entitlements")
    assert done.exit_code == 2 and "setup" in done.output


def test_what_stands_behind_the_name_is_the_services(become):
    _, (words, _), _ = become("paywall", "dead-letters", "--help", "--port", "1")
    assert words[3:] == ("dead-letters", "--help", "--port", "1")


def test_what_make_run_does_itself_has_the_same_rights_and_secrets_here(become):
    _, (_, env), secrets = become("billing", "migrate")
    assert env["DATABASE_URL"].startswith("postgresql://billing_owner:")
    _, (_, env), _ = become("identity", "seed")
    assert env["DEMO_PASSWORD"] == secrets.demo_password
    assert env["DATABASE_URL"].startswith("postgresql://identity:")
    _, (_, env), _ = become("billing", "audit", "verify")
    assert env["DATABASE_URL"].startswith("postgresql://billing:") and "DEMO_PASSWORD" not in env
