"""HTTP bodies about readers."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field


class ReaderOut(BaseModel):
    id: UUID
    name: str
    email: str


class BundleOut(BaseModel):
    """The bundle by which the reader opens the next article: so many ``left`` of its ``uses``, until before ``valid_until``. ``use_url``
    takes ``{"agency": …, "article_id": …}`` by POST from the agency's website."""

    uses: int
    left: int
    valid_until: datetime
    use_url: str


class SessionOut(BaseModel):
    """Who is reading; ``token`` is for the paywall, valid until ``expires_at``."""

    signed_in: bool
    reader: ReaderOut | None = None
    token: str | None = Field(default=None, description="EdDSA JWT for the paywall, 5 minutes")
    expires_at: datetime | None = None
    bundle: BundleOut | None = None
    sign_in_url: str
    plans_url: str
    account_url: str
