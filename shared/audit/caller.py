"""Who is asking, and from where: found out once at the door, and there for whoever writes an entry.

Doors: the request middleware opens a :class:`Caller` for each request, ``StaffAccess`` (identity: ``Access``) names its
actor once it is known; a command opens one with :func:`calling`; a worker's timers act as the system and say so. An
entry without an actor is refused (``service.record``): nobody acts by accident without a name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from shared.auth.identity_client import KeyPrincipal, StaffPrincipal


class ActorKind(StrEnum):
    STAFF = "staff"
    KEY = "key"
    COMMAND = "command"
    SYSTEM = "system"
    STRANGER = "stranger"


@dataclass(frozen=True, slots=True)
class Actor:
    """``id`` is the account's id, the key's id, or the name of the command or timer; ``name`` what people read."""

    kind: ActorKind
    id: str
    name: str

    @classmethod
    def staff(cls, principal: StaffPrincipal) -> Actor:
        return cls(ActorKind.STAFF, str(principal.account_id), principal.email)

    @classmethod
    def key(cls, principal: KeyPrincipal) -> Actor:
        return cls(ActorKind.KEY, principal.key_id, f"key:{principal.key_id}")

    @classmethod
    def command(cls, name: str, by: str = "") -> Actor:
        """A command on the server; ``by`` is the account of the operating system, or who was named."""
        return cls(ActorKind.COMMAND, name, f"{name} ({by})" if by else name)

    @classmethod
    def system(cls, name: str) -> Actor:
        """A timer or a seed: nobody's decision."""
        return cls(ActorKind.SYSTEM, name, name)


#: Somebody at the door who has not shown who they are.
STRANGER = Actor(ActorKind.STRANGER, "-", "")


@dataclass(slots=True)
class Caller:
    """One request, or one run of a command. ``network`` is already shortened (``rules.network_prefix``).

    ``refusal_told``: a security event of it is on record (``shared.security.report``).
    """

    request_id: str = ""
    network: str = ""
    actor: Actor | None = None
    service: str = ""
    scope: Mapping[str, Any] = field(default_factory=dict, repr=False)
    refusal_told: bool = False

    @property
    def route(self) -> str:
        """The route's template, never the path: known once the router has found it."""
        return getattr(self.scope.get("route"), "path", "unmatched") if self.scope else ""

    @property
    def agency(self) -> str:
        """What stands for the agency in the path, as it was written there."""
        return str(self.scope.get("path_params", {}).get("agency", ""))


_CALLER: ContextVar[Caller | None] = ContextVar("audit_caller", default=None)


def caller() -> Caller | None:
    """The present one; None outside of every request and command."""
    return _CALLER.get()


def known_as(actor: Actor) -> None:
    """Name the actor of the present request. Does nothing outside of one."""
    present = _CALLER.get()
    if present is not None:
        present.actor = actor


@contextmanager
def acting(actor: Actor) -> Iterator[Caller]:
    """What runs inside is done by ``actor``: a seed, a timer, a command."""
    with calling(Caller(actor=actor)) as present:
        yield present


@contextmanager
def calling(present: Caller) -> Iterator[Caller]:
    """Everything inside is asked for by ``present``."""
    token = _CALLER.set(present)
    try:
        yield present
    finally:
        _CALLER.reset(token)
