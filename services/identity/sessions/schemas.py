"""Bodies of introspection."""

from __future__ import annotations

from pydantic import BaseModel


class IntrospectionIn(BaseModel):
    """What a caller brought to a service."""

    # Without limits of its own: whatever a stranger's cookie holds is inactive, not an error.
    token: str
