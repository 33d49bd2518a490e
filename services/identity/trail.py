"""Entries of the audit trail about accounts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.identity.accounts import repository
from services.identity.accounts.models import Account
from shared import audit
from shared.audit import Action, Actor
from shared.audit.caller import ActorKind
from shared.database import Session


async def record(
    session: Session,
    action: Action,
    account: Account,
    at: datetime,
    *,
    agency: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    by_account: bool = False,
) -> None:
    """In the transaction of the act. ``by_account``: the account itself acts, as when it signs in."""
    await audit.record(
        session,
        action,
        agency=agency,
        at=at,
        subject=f"account/{account.id}",
        label=account.email,
        before=before,
        after=after,
        actor=Actor(ActorKind.STAFF, str(account.id), account.email) if by_account else None,
    )


async def record_everywhere(
    session: Session,
    action: Action,
    account: Account,
    at: datetime,
    *,
    after: Mapping[str, Any] | None = None,
) -> None:
    """On the trail of each agency where the account has roles: what is done to all of it is done there too.

    By name, as everywhere: the trails' chains are locked in the order of their entries.
    """
    agencies: list[str | None] = [*sorted(await repository.roles_of(session, account.id))]
    for agency in agencies or [None]:
        await record(session, action, account, at, agency=agency, after=after)
