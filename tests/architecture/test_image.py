"""What the Dockerfile copies is all that its commands import."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import metadata

import grimp
import pytest

from tests.fixtures.documented import ROOT

DOCKERFILE = (ROOT / "infra/docker/Dockerfile").read_text(encoding="utf-8")


def copied(stage: str) -> set[str]:
    """First-party paths that a stage copies from the checkout (not from another stage)."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", stage, re.MULTILINE)
    return {path.rstrip("/") for line in lines for path in line.split()[:-1]}


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("services", "shared", "infra")


def file_of(module: str) -> str:
    path = module.replace(".", "/")
    return f"{path}/__init__.py" if (ROOT / path).is_dir() else f"{path}.py"


def missing(module: str, paths: set[str]) -> set[str]:
    needed = {module} | graph().find_upstream_modules(module)
    needed |= {name.rpartition(".")[0] for name in needed if "." in name}  # packages above
    files = {file_of(name) for name in needed}
    return {file for file in files if not any(file == p or file.startswith(f"{p}/") for p in paths)}


STAGES = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
WEB = next(stage for stage in STAGES if stage.startswith("build AS web"))
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
MODULES = sorted(set(re.findall(r'"python", "-m", "([\w.]+)"', COMPOSE)))


def test_the_assets_are_made_with_what_is_copied_before() -> None:
    assert missing("infra.local.assets", copied(WEB)) == set()


@pytest.mark.parametrize("module", MODULES)
def test_a_container_finds_every_module_it_imports(module: str) -> None:
    entry = f"{module}.__main__" if (ROOT / module.replace(".", "/")).is_dir() else module
    assert missing(entry, copied(STAGES[-1])) == set()


#: Needed without an import of ours: what imports it, or finds it, does so by name.
NOT_IMPORTED = {
    "httptools": "uvicorn's parser; shared/web/protocol.py subclasses what uses it",
    "python-multipart": "FastAPI reads forms with it",
    "tzdata": "zoneinfo's time zones where the system has none",
}


def test_every_dependency_is_imported_or_named_with_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.match(r"[\w.-]+", line)[0] for line in project["dependencies"]}
    everything = grimp.build_graph("services", "shared", "infra", include_external_packages=True)
    roots = {module.partition(".")[0] for module in everything.modules}
    found = metadata.packages_distributions()
    imported = {name.lower().replace("_", "-") for root in roots for name in found.get(root, ())}
    assert declared - imported - set(NOT_IMPORTED) == set()
    assert set(NOT_IMPORTED) & imported == set()
    assert set(NOT_IMPORTED) <= declared
