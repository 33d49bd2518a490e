"""Who may import whom: import-linter's contracts, the order of the rooms, and the purity of the rules."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.source import (
    REPOSITORY,
    Import,
    files,
    imports,
    imports_of,
    module_name,
    relative,
    report,
)

#: The higher may import the lower and its own height. Other modules of a noun are free.
HEIGHT = {
    **dict.fromkeys(("app", "worker", "seed", "__main__"), 5),
    **dict.fromkeys(("api", "pages", "consumers"), 4),
    "service": 3,
    **dict.fromkeys(("repository", "adapters"), 2),
    "models": 1,
}
SERVICES = (
    "services.billing",
    "services.paywall",
    "services.ads",
    "shared.metrics",
    "services.identity",
)
#: The published language: words and their types, no behaviour.
VOCABULARY = ("shared.contracts",)
ROOMS_RULES_MAY_NOT_USE = {*HEIGHT, "schemas", "settings"}
#: Standard library that does something, or answers differently each time.
IMPURE = {"asyncio", "http", "os", "random", "secrets", "shutil", "smtplib", "socket", "sqlite3",
          "subprocess", "tempfile", "threading", "time", "urllib.request"}  # fmt: skip


def service_of(module: str) -> str | None:
    return next((name for name in SERVICES if f"{module}.".startswith(f"{name}.")), None)


def room_of(module: str) -> str | None:
    """``services.ads.bookings.adapters.stripe`` → ``adapters``."""
    service = service_of(module)
    if service is None:
        return None
    return next((part for part in module[len(service) + 1 :].split(".") if part in HEIGHT), None)


def upward(imports_: Iterable[Import]) -> list[str]:
    """Imports within one service from a lower room to a higher one."""
    found = []
    for item in imports_:
        if service_of(item.importer) is None or service_of(item.importer) != service_of(
            item.imported
        ):
            continue
        lower, higher = room_of(item.importer), room_of(item.imported)
        if lower and higher and HEIGHT[lower] < HEIGHT[higher]:
            found.append(
                f"{item.importer}:{item.line} ({lower}) imports {item.imported} ({higher})"
            )
    return found


def impurities(imports_: Iterable[Import], pure_house_modules: frozenset[str]) -> list[str]:
    """Imports that a pure module may not have."""
    found = []
    for item in imports_:
        top = item.imported.split(".")[0]
        if item.imported.startswith(VOCABULARY):
            continue
        if top in ("services", "shared", "infra"):
            parts = item.imported.split(".")
            module = item.imported if item.imported in house_modules() else ".".join(parts[:-1])
            room = ROOMS_RULES_MAY_NOT_USE.intersection(parts[2:])
            if module not in pure_house_modules or (room and service_of(item.imported)):
                found.append(f"{item.importer}:{item.line} imports {item.imported}")
        elif top not in sys.stdlib_module_names or not IMPURE.isdisjoint({top, item.imported}):
            found.append(f"{item.importer}:{item.line} imports {item.imported}")
    return found


@cache
def house_modules() -> dict[str, Path]:
    return {module_name(path): path for path in files(".py")}


@cache
def pure_modules() -> frozenset[str]:
    """Modules of the house that reach, through all their imports, nothing but the pure standard library."""
    paths = house_modules()
    pure = frozenset(paths)
    while True:
        smaller = frozenset(name for name in pure if not impurities(imports(paths[name]), pure))
        if smaller == pure:
            return pure
        pure = smaller


def test_import_linters_contracts_are_kept():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (
        "A contract of [tool.importlinter] in pyproject.toml is broken: move the import to where the "
        f"contract allows it, or talk by an event.\n{done.stdout}\n{done.stderr}"
    )


def test_no_room_imports_a_higher_one():
    report(
        "app, worker, seed → api, pages, consumers → service → repository, adapters → models: "
        "hand the value down as an argument, or move the code up.",
        [
            line
            for path in files(".py", folders=("services", "shared"))
            for line in upward(imports(path))
        ],
    )


def test_rules_are_pure():
    pure = pure_modules()
    paths = [p for p in files(".py", folders=("services", "shared")) if p.name == "rules.py"]
    report(
        "rules.py takes values and gives values: only the standard library (without I/O, clocks and chance), "
        "shared.money, shared.clock's helpers and other pure modules. Take the rest as an argument.",
        [line for path in paths for line in impurities(imports(path), pure)],
    )
    assert {"shared.money", "shared.clock"} <= pure


def test_the_sdk_of_a_payment_provider_stays_in_its_adapter():
    allowed = ("services/billing/payments/adapters/", "infra/stripe_sandbox/")
    report(
        "stripe is imported only in services/billing/payments/adapters/ (and by the sandbox that plays Stripe).",
        [
            f"{relative(path)}:{item.line}"
            for path in files(".py")
            for item in imports(path)
            if item.imported.split(".")[0] == "stripe" and not relative(path).startswith(allowed)
        ],
    )


def parsed(module: str, code: str) -> list[Import]:
    return list(imports_of(module, ast.parse(code)))


@pytest.mark.parametrize(
    ("module", "code", "caught"),
    [
        ("services.ads.bookings.repository", "from services.ads.bookings import service", True),
        ("services.ads.bookings.service", "from services.ads.catalogue.api import router", True),
        ("services.ads.bookings.service", "import services.ads.app", True),
        ("services.ads.bookings.models", "from . import repository", True),
        ("shared.metrics.growth.service", "from shared.metrics.exporter.pages import x", True),
        ("services.ads.bookings.service", "from services.ads.catalogue import service", False),
        ("services.ads.bookings.api", "from services.ads.bookings.service import book", False),
        ("services.ads.worker", "from services.ads.app import web", False),
    ],
)
def test_the_check_of_rooms_catches(module, code, caught):
    assert bool(upward(parsed(module, code))) is caught


@pytest.mark.parametrize(
    ("code", "caught"),
    [
        ("import sqlalchemy", True),
        ("import random", True),
        ("from time import time", True),
        ("from services.ads.bookings.models import Line", True),
        ("from services.ads.bookings import repository", True),
        ("import shared.database", True),
        ("from shared.money import part", False),
        ("from shared.clock import local_date", False),
        ("from datetime import date", False),
    ],
)
def test_the_check_of_rules_catches(code, caught):
    found = impurities(parsed("services.ads.bookings.rules", code), pure_modules())
    assert bool(found) is caught
