"""docs/settings.md: every setting of every process, from the settings classes themselves."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from infra.docs.source import REPOSITORY, cell, module_name, python_files
from shared.settings import ServiceSettings


def settings_classes() -> Iterator[type[BaseSettings]]:
    """Every settings class, the shared one first."""
    yield ServiceSettings
    for path in python_files():
        if path.name != "settings.py" or module_name(path).startswith("infra.docs."):
            continue
        module = import_module(module_name(path))
        for value in vars(module).values():
            if (
                isinstance(value, type)
                and issubclass(value, BaseSettings)
                and value.__module__ == module.__name__
                and value is not ServiceSettings
            ):
                yield value


def own_fields(settings: type[BaseSettings]) -> dict[str, FieldInfo]:
    """The fields a class adds, or describes anew."""
    inherited = {
        name: info
        for base in settings.__mro__[1:]
        if issubclass(base, BaseSettings)
        for name, info in base.model_fields.items()
    }
    return {
        name: info
        for name, info in settings.model_fields.items()
        if name not in inherited
        or (info.default, info.description)
        != (inherited[name].default, inherited[name].description)
    }


def variable(settings: type[BaseSettings], name: str) -> str:
    """The environment variable behind a field."""
    return f"{settings.model_config.get('env_prefix', '')}{name}".upper()


def _kind(info: FieldInfo) -> str:
    annotation = info.annotation
    if get_origin(annotation) is not None and str(annotation).startswith("typing.Literal"):
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    return getattr(annotation, "__name__", str(annotation))


def _default(info: FieldInfo) -> str:
    if info.default_factory is not None:
        return "made at start"
    if info.is_required():
        return "needed"
    default = info.default
    if isinstance(default, Path) and default.is_relative_to(REPOSITORY):
        # Where the repository lies is each machine's own business.
        default = default.relative_to(REPOSITORY)
    return "empty" if default in ("", None, ()) else f"`{default}`"


def settings_page() -> str:
    """The whole document."""
    lines = [
        "<!-- Generated: python -m infra.docs -->",
        "# Settings",
        "",
        "Values come from the environment, or from files: with `SECRETS_DIR` set, a file there named like the "
        "setting (lower case) gives its value. Nothing is configured in code.",
        "",
    ]
    for settings in settings_classes():
        fields = own_fields(settings)
        if not fields:
            continue
        title = (
            "Every process"
            if settings is ServiceSettings
            else settings.__module__.rsplit(".", 1)[0]
        )
        lines += [f"## {title}", "", "| variable | type | default | meaning |", "|---|---|---|---|"]
        for name, info in fields.items():
            lines.append(
                f"| `{variable(settings, name)}` | {cell(_kind(info))} | {cell(_default(info))} "
                f"| {cell(info.description or '')} |"
            )
        lines.append("")
    return "\n".join(lines)
