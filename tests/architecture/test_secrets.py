"""A process is told the secrets it uses and no others: the local start, compose and the services' own tables agree."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from infra.compose import configure
from infra.compose.model import load
from infra.local.local_secrets import load_or_create
from infra.local.processes import (
    DATABASES,
    PROCESSES,
    STEPS,
    USED_BY,
    ProcessSpec,
    StepSpec,
    Surroundings,
)
from infra.nats.permissions import SETUP, user_names
from services.ads.settings import AdsSettings
from services.billing.settings import BillingSettings
from services.identity.settings import IdentitySettings
from services.paywall.settings import PaywallSettings
from shared.metrics.settings import MetricsSettings
from shared.settings import SHARED_CHECKS
from shared.startup.rules import EVERY_DUTY, Duty

SPECS = (*PROCESSES, *STEPS)


def service_name(spec: ProcessSpec | StepSpec) -> str:
    return spec.name.replace(" ", "-")


SETTINGS = {
    "billing": BillingSettings,
    "paywall": PaywallSettings,
    "ads": AdsSettings,
    "metrics": MetricsSettings,
    "identity": IdentitySettings,
}
#: What must not be known where it is not used. The sandbox's copy of the webhook's secret is its own variable.
SECRETS = {*USED_BY, "NATS_URL", "DATABASE_URL", "PAYWALL_SIGNING_KEYS"} - {"STRIPE_API_BASE"}


def user_of(url: str) -> str:
    """``nats://billing-worker:…@…`` → ``billing-worker``; compose's passwords are variables that no URL parser likes."""
    return url.split("://", 1)[1].split(":", 1)[0]


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Mapping[str, str]]:
    """Each container's variables, as ``make up DEMO=yes`` starts it."""
    folder = tmp_path_factory.mktemp("rehearsal")
    configure.configure(folder, {}, demo=True, ask=None)
    env = configure.read_env(folder / ".env")
    project = load(env, profiles=frozenset({env["COMPOSE_PROFILES"]}))
    return {name: service.environment for name, service in project.services.items()}


@pytest.fixture
def surroundings(tmp_path: Path) -> Surroundings:
    return Surroundings(8000, tmp_path, tmp_path, load_or_create(tmp_path / "s.json", DATABASES))


def local(surroundings: Surroundings, spec: ProcessSpec | StepSpec) -> dict[str, str]:
    return surroundings.environment(spec)


@pytest.mark.parametrize("spec", SPECS, ids=service_name)
def test_compose_tells_each_process_the_secrets_of_the_local_start_and_no_others(
    spec: ProcessSpec | StepSpec, surroundings: Surroundings, compose: dict[str, Mapping[str, str]]
) -> None:
    there = compose[service_name(spec)]
    given = {variable for variable in SECRETS if there.get(variable)}
    given |= {"IDENTITY_INTERNAL_KEY"} if "IDENTITY_INTERNAL_KEYS" in there else set()
    assert given == set(local(surroundings, spec)) & SECRETS


@pytest.mark.parametrize("spec", SPECS, ids=service_name)
def test_each_process_signs_in_as_itself(
    spec: ProcessSpec | StepSpec, surroundings: Surroundings, compose: dict[str, Mapping[str, str]]
) -> None:
    here = local(surroundings, spec)
    there = compose[service_name(spec)]
    for variable in ("DATABASE_URL", "NATS_URL"):
        if variable in here:
            assert user_of(there[variable]) == user_of(here[variable])
    if "NATS_URL" in here:
        user = user_of(here["NATS_URL"])
        assert user == (SETUP if spec.name == "streams" else spec.name)
        assert user in user_names()
    if spec.database is not None:
        owner = isinstance(spec, StepSpec) and spec.as_owner
        wanted = f"{spec.database}_owner" if owner else spec.database
        assert user_of(here["DATABASE_URL"]) == wanted


@pytest.mark.parametrize("name", ["news-site", "stripe-sandbox"])
def test_the_sample_site_and_the_sandbox_hold_nothing_of_ours(
    name: str, surroundings: Surroundings, compose: dict[str, Mapping[str, str]]
) -> None:
    spec = next(one for one in PROCESSES if one.name == name)
    for environment in (local(surroundings, spec), compose[name]):
        assert set(environment) & SECRETS <= {"DEMO_SITE_KEY"}, name


@pytest.mark.parametrize(
    "spec", [one for one in SPECS if one.database is not None], ids=service_name
)
def test_a_process_is_told_what_its_duty_would_be_refused_for_and_nothing_of_another_duty(
    spec: ProcessSpec | StepSpec, surroundings: Surroundings
) -> None:
    """The start-up checks say which duty needs a variable: the tables above may not say otherwise."""
    assert spec.database is not None
    word = spec.command[-1]
    duty = {"web": Duty.WEB, "worker": Duty.WORKER, "migrate": Duty.MIGRATE, "seed": Duty.SETUP}[
        word
    ]
    checks = [*SHARED_CHECKS]
    for base in SETTINGS[spec.database].__mro__:
        checks += vars(base).get("CHECKS", ())
    needed: dict[str, set[Duty]] = {}
    everybodys = {check.variable for check in checks if check.duties == EVERY_DUTY}
    for check in checks:
        if check.variable in SECRETS - everybodys:
            needed.setdefault(check.variable, set()).update(check.duties)
    given = set(local(surroundings, spec)) & set(needed)
    if duty is Duty.SETUP:
        given -= {
            "STRIPE_SECRET_KEY",
            "FACTOR_KEYS",
        }  # the example's plans are made at the provider too
    allowed = {variable for variable, duties in needed.items() if duty in duties}
    allowed -= {"PAYWALL_SIGNING_KEYS"}
    assert given == allowed
