"""What billing publishes."""

from __future__ import annotations

from uuid import UUID

from shared.contracts.envelope import Instant, Payload, event_type


class Entitlement(Payload, frozen=True, kw_only=True):
    """The full state of one reader's right to read one agency's content, as of the event's version.

    ``scope`` is what it opens (``site`` = everything of the agency). ``valid_until`` is exclusive. The event's
    ``subject`` is the entitlement's id and its ``version`` grows with every change.
    """

    entitlement_id: UUID
    reader_id: UUID
    plan_code: str
    scope: str
    valid_from: Instant
    valid_until: Instant
    subscription_id: UUID | None = None


@event_type("billing.entitlement.granted.v1")
class EntitlementGranted(Entitlement, frozen=True, kw_only=True):
    """A reader may read from ``valid_from`` until ``valid_until``."""


@event_type("billing.entitlement.changed.v1")
class EntitlementChanged(Entitlement, frozen=True, kw_only=True):
    """The same right with other dates or another plan (renewal, cancellation at the end, upgrade)."""


@event_type("billing.entitlement.revoked.v1")
class EntitlementRevoked(Entitlement, frozen=True, kw_only=True):
    """The right has ended (refund, lost dispute, cancellation at once); ``valid_until`` is when."""

    reason: str = ""


@event_type("billing.networks.changed.v1")
class NetworksChanged(Payload, frozen=True, kw_only=True):
    """The full state of the networks whose visitors read what a group pays for, without signing in, as of the event's version.

    ``ranges`` are the first and the last address of each, both included; a range is of one group of the agency only. ``readable`` are
    the times (from, until; the latter exclusive) in which they open ``scope``, and no others. Nothing is open where either is empty.
    The event's ``subject`` is the group's subscription and its ``version`` grows with every change.
    """

    subscription_id: UUID
    plan_code: str
    scope: str
    ranges: tuple[tuple[str, str], ...]
    readable: tuple[tuple[Instant, Instant], ...]
