"""The start-up check: what is deployed says no to weak settings, all at once, before anything binds."""

from shared.startup.load import (
    EXIT_CONFIGURATION,
    RefusedSettingsError,
    load_settings,
    read_settings,
)
from shared.startup.rules import Check, Duty, Refusal

__all__ = [
    "EXIT_CONFIGURATION",
    "Check",
    "Duty",
    "Refusal",
    "RefusedSettingsError",
    "load_settings",
    "read_settings",
]
