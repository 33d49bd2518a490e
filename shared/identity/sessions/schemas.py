"""Bodies of introspection."""

from __future__ import annotations

from pydantic import BaseModel, Field


class IntrospectionIn(BaseModel):
    """What a caller brought to a service."""

    token: str = Field(min_length=1, max_length=512)
