"""A means of payment, as the port knows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Method:
    """A means of payment that its holder let us charge again. ``label`` is what people know it by (``Visa •••• 4242``), empty
    where the provider has not said; ``expires_on`` is its last day."""

    customer: str
    id: str
    label: str = ""
    expires_on: date | None = None
