"""The act of linking, in its caller's transaction: by a signed-in person or with an invitation."""

from __future__ import annotations

from datetime import datetime

from services.identity import trail
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
