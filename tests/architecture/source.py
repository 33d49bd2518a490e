"""The repository's files as the architecture tests read them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PRODUCT = ("services", "shared", "infra")
IGNORED_FOLDERS = {"node_modules", ".venv", ".local", "__pycache__"}


def files(*suffixes: str, folders: tuple[str, ...] = PRODUCT) -> Iterator[Path]:
    """Files of the product, sorted, without what is generated or fetched."""
    for folder in folders:
        for path in sorted((REPOSITORY / folder).rglob("*")):
            if path.suffix in suffixes and not IGNORED_FOLDERS.intersection(path.parts):
                yield path


def is_migration(path: Path) -> bool:
    return "migrations" in path.parts


def relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def module_name(path: Path) -> str:
    """``services/ads/app.py`` → ``services.ads.app``."""
    parts = list(path.relative_to(REPOSITORY).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@dataclass(frozen=True, slots=True)
class Import:
    """``importer`` imports ``imported`` (a module, or a name in one) in a line."""

    importer: str
    imported: str
    line: int


def imports_of(module: str, parsed: ast.Module, *, package: bool = False) -> Iterator[Import]:
    """Every import in a module, also inside functions; ``from a import b`` gives ``a.b``."""
    for node in ast.walk(parsed):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + (1 if package else 0)]
                base = ".".join([*parts, base] if base else parts)
            for alias in node.names:
                yield Import(module, f"{base}.{alias.name}", node.lineno)


@cache
def imports(path: Path) -> tuple[Import, ...]:
    return tuple(imports_of(module_name(path), tree(path), package=path.name == "__init__.py"))


def report(what_to_do: str, violations: list[str]) -> None:
    """Fail with every violation and what to do about them."""
    assert not violations, "\n".join([what_to_do, *(f"  {line}" for line in violations)])
