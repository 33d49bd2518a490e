"""What a member of staff may do, per agency."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """Roles are per agency; an account may hold several. ``ADMIN`` implies all the others of its agency."""

    ADMIN = "admin"
    SELLER = "seller"
    TRAFFIC = "traffic"
    APPROVER = "approver"
    FINANCE = "finance"
    EDITOR = "editor"
    SUPPORT = "support"
    VIEWER = "viewer"  #: sees an agency's figures and changes nothing: the governing body's people


class Scope(StrEnum):
    """What a service key opens. A key belongs to one agency and has the scopes it needs and no others."""

    DECISIONS = "paywall:decide"
    ARTICLES = "paywall:articles"
    AD_DECISIONS = "ads:decide"
    ADS_BOOK = "ads:book"
    BILLING_READ = "billing:read"
    METRICS_READ = "metrics:read"


#: Who sees an agency's figures; only ``FINANCE`` of them changes any.
VIEWERS = (Role.FINANCE, Role.VIEWER)
