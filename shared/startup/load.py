"""Settings of a process from its environment, or the list of everything that is wrong with them and an end."""

from __future__ import annotations

import ssl
import sys
from contextvars import ContextVar
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from shared.startup.rules import EVERY_DUTY, Duty, Refusal

#: ``EX_CONFIG`` of sysexits(3): a restart does not help, somebody must mend the settings.
EXIT_CONFIGURATION = 78

T = TypeVar("T", bound=BaseSettings)

#: Duties whose needs are checked. Unless an entry point says what its process is there for: all.
duties: ContextVar[frozenset[Duty]] = ContextVar("duties", default=EVERY_DUTY)


class RefusedSettingsError(ValueError):
    """The table of checks refuses these settings; ``refusals`` says which and what would be right."""

    def __init__(self, refusals: list[Refusal]) -> None:
        super().__init__("; ".join(f"{one.variable}: {one.right}" for one in refusals))
        self.refusals = refusals


def read_settings(settings_class: type[T], duty: Duty, **given: Any) -> T:
    """Raises :class:`RefusedSettingsError` with everything that is wrong: values of a wrong kind or out of range too."""
    token = duties.set(frozenset({duty}))
    try:
        return settings_class(**given)
    except ValidationError as error:
        fields = _field_refusals(settings_class, error)
        refused = _refused(error)
        if fields and not refused:
            # The table runs only over values of the right kind: once more, with defaults in the wrong ones' place.
            wrong = {str(one["loc"][0]) for one in error.errors() if one["loc"]}
            refused = _refusals_without(settings_class, wrong, given)
        raise RefusedSettingsError([*fields, *refused]) from None
    finally:
        duties.reset(token)


def load_settings(settings_class: type[T], duty: Duty, service: str) -> T:
    """For entry points: says what is wrong on standard error and ends the process with ``EXIT_CONFIGURATION``."""
    try:
        return read_settings(settings_class, duty)
    except RefusedSettingsError as error:
        print(explain(service, duty, error.refusals), file=sys.stderr)  # noqa: T201
        raise SystemExit(EXIT_CONFIGURATION) from None


def explain(service: str, duty: Duty, refusals: list[Refusal]) -> str:
    """The list for the operator; names and what would be right, never a value."""
    width = max(len(one.variable) for one in refusals)
    count = "one setting is" if len(refusals) == 1 else f"{len(refusals)} settings are"
    return "\n".join(
        (
            f"{service} {duty} does not start: {count} not right (docs/settings.md)",
            *(f"  {one.variable:<{width}}  {one.right}" for one in refusals),
        )
    )


def _field_refusals(settings_class: type[BaseSettings], error: ValidationError) -> list[Refusal]:
    prefix = settings_class.model_config.get("env_prefix", "")
    return [
        Refusal(f"{prefix}{one['loc'][0]}".upper(), one["msg"].removeprefix("Value error, "))
        for one in error.errors(include_input=False)
        if one["loc"]
    ]


def _refused(error: ValidationError) -> list[Refusal]:
    for one in error.errors(include_input=False):
        cause = one.get("ctx", {}).get("error")
        if isinstance(cause, RefusedSettingsError):
            return cause.refusals
    return [
        Refusal("settings", one["msg"].removeprefix("Value error, "))
        for one in error.errors(include_input=False)
        if not one["loc"]
    ]


def _refusals_without(
    settings_class: type[BaseSettings], wrong: set[str], given: dict[str, Any]
) -> list[Refusal]:
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in settings_class.model_fields.items()
        if name in wrong and not field.is_required()
    }
    try:
        settings_class(**{**given, **defaults})
    except ValidationError as error:
        named = {name.upper() for name in wrong}
        return [one for one in _refused(error) if one.variable not in named]
    return []


def no_authorities(file: str) -> bool:
    """A file is named, and no certificate can be read from it."""
    if not file:
        return False
    try:
        return not ssl.create_default_context(cafile=file).cert_store_stats()["x509"]
    except (OSError, ValueError):
        return True
