"""The act of linking, in its caller's transaction, by a signed-in person or with an invitation; and what a link opens."""

from __future__ import annotations

from datetime import datetime

from services.identity import trail
from services.identity.accounts import repository as accounts
from services.identity.accounts.models import Account
from services.identity.provider import repository
from services.identity.provider.models import ExternalSubject
from services.identity.provider.rules import Claims
from services.identity.sessions.rules import Factor
from shared.audit import Action
from shared.database import Session


async def link_subject(
    session: Session, account: Account, claims: Claims, now: datetime, *, by_account: bool = False
) -> None:
    """From now on this subject opens the account. Raises ``IntegrityError`` when it opens another one."""
    await repository.add_subject(
        session,
        ExternalSubject(
            issuer=claims.issuer, subject=claims.subject, account_id=account.id, linked_at=now
        ),
    )
    await trail.record(
        session,
        Action.SUBJECT_LINKED,
        account,
        now,
        after={"issuer": claims.issuer},
        by_account=by_account,
    )


def proofs(claims: Claims) -> set[Factor]:
    """What the provider's answer proves."""
    return {Factor.OIDC, Factor.PROVIDER_MFA} if claims.second_factor else {Factor.OIDC}


async def opened_by(session: Session, claims: Claims) -> Account | None:
    """The account that this subject opens, held."""
    account_id = await repository.account_of_subject(session, claims.issuer, claims.subject)
    account = await accounts.lock(session, account_id) if account_id is not None else None
    if account is None:
        return None
    # While we waited for the account it may have been unlinked.
    kept = await repository.account_of_subject(session, claims.issuer, claims.subject)
    return account if kept == account.id else None
