"""The modules that the documents are made from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def python_files() -> Iterator[Path]:
    """The product's own modules, in a fixed order."""
    for folder in ("shared", "services", "infra"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            if not {"node_modules", "migrations", "__pycache__"}.intersection(path.parts):
                yield path


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)


def cell(text: str) -> str:
    """Text that may stand in a table's cell."""
    return " ".join(text.split()).replace("|", "\\|")
