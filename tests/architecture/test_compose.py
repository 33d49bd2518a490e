"""docker-compose runs what the local start runs: the same commands, with every variable they are given there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from pydantic import AliasChoices

from infra.docs.settings import settings_classes, variable
from infra.local.local_secrets import load_or_create
from infra.local.processes import DATABASES, PROCESSES, STEPS, ProcessSpec, StepSpec, Surroundings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
SPECS = (*PROCESSES, *STEPS)


def service_name(spec: ProcessSpec | StepSpec) -> str:
    return spec.name.replace(" ", "-")


@pytest.mark.parametrize("spec", SPECS, ids=service_name)
def test_each_process_runs_its_native_command_in_a_container(
    spec: ProcessSpec | StepSpec,
) -> None:
    assert SERVICES[service_name(spec)]["command"] == list(spec.command)


@pytest.mark.parametrize("spec", SPECS, ids=service_name)
def test_each_container_gets_the_variables_of_the_local_start(
    spec: ProcessSpec | StepSpec, tmp_path: Path
) -> None:
    secrets = load_or_create(tmp_path / "secrets.json", DATABASES)
    local = Surroundings(8000, tmp_path, tmp_path, secrets).environment(spec)
    given = SERVICES[service_name(spec)]["environment"]
    missing = sorted(set(local) - set(given))
    assert not missing, f"add to {service_name(spec)} in docker-compose.yml: {missing}"


@pytest.mark.parametrize("spec", SPECS, ids=service_name)
def test_every_variable_of_the_local_start_is_a_setting_somebody_reads(
    spec: ProcessSpec | StepSpec, tmp_path: Path
) -> None:
    known = {
        variable(settings, name)
        for settings in settings_classes()
        for name in settings.model_fields
    }
    known |= {
        str(choice)
        for settings in settings_classes()
        for info in settings.model_fields.values()
        if isinstance(info.validation_alias, AliasChoices)
        for choice in info.validation_alias.choices
    }
    secrets = load_or_create(tmp_path / "secrets.json", DATABASES)
    local = Surroundings(8000, tmp_path, tmp_path, secrets).environment(spec)
    assert set(local) <= known, f"nobody reads {sorted(set(local) - known)}"


def test_prometheus_scrapes_the_containers_of_compose_with_a_token_that_is_mounted() -> None:
    text = (ROOT / "infra/prometheus/prometheus.yml").read_text(encoding="utf-8")
    jobs = [
        job for job in yaml.safe_load(text)["scrape_configs"] if job["job_name"] != "prometheus"
    ]
    scraped = {target for job in jobs for one in job["static_configs"] for target in one["targets"]}
    ports = {spec.name: f"{spec.name}:{8000 + spec.port}" for spec in PROCESSES}
    assert scraped == {ports[spec.name] for spec in PROCESSES if spec.database is not None}
    mounted = {volume.split(":")[1] for volume in SERVICES["prometheus"]["volumes"]}
    assert {job["authorization"]["credentials_file"] for job in jobs} <= mounted


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_containers_of_ours_cannot_gain_rights_or_write(name: str) -> None:
    service = SERVICES[name]
    if "build" not in service and not str(service["image"]).startswith("press-revenue/"):
        return
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]


def test_the_example_environment_names_every_variable_compose_needs() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    needed = set(re.findall(r"\$\{([A-Z_]+)(?::\?[^}]*)?\}", text))
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^([A-Z_]+)=", example, flags=re.MULTILINE))
    assert needed <= named, sorted(needed - named)


def test_compose_itself_accepts_the_file(tmp_path: Path) -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    filled = tmp_path / "env"
    filled.write_text(re.sub(r"^([A-Z_]+)=$", r"\1=x", example, flags=re.MULTILINE))
    command = shutil.which("docker-compose")
    assert command is not None, "install Debian's docker-compose (make check and make test do)"
    result = subprocess.run(
        [
            command,
            "--env-file",
            str(filled),
            "-f",
            str(ROOT / "docker-compose.yml"),
            "config",
            "-q",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
