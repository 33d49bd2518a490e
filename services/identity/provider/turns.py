"""Whose turn it is to go to the provider: strangers of a network wait for each other, who is known for nobody."""

from __future__ import annotations

import math
from datetime import datetime
from uuid import UUID

from services.identity.authenticators import repository
from services.identity.authenticators.rules import Locked, begin_paced_attempt
from services.identity.provider import rules
from services.identity.visitor import Visitor, digest
from shared.database import Session
from shared.security.events import SecurityEvent
from shared.security.report import tell


async def take_turn(
    session: Session,
    visitor: Visitor,
    session_id: UUID | None,
    invitation: str,
    now: datetime,
) -> int | None:
    """Take one visit from the caller's budget; when none is left, in how many seconds there is one.

    ``invitation``: the token of an open one. A device counts as known by the cookie that we gave it.
    """
    if session_id is not None:
        whose = ("visits of session", session_id.hex)
    elif invitation:
        whose = ("visits of invitation", digest(invitation).hex())
    elif visitor.device and await repository.is_device(session, digest(visitor.device)):
        whose = ("visits of device", digest(visitor.device).hex())
    else:
        whose = ("visits of network", visitor.network)
    subject = repository.origin_digest(*whose)
    before = await repository.lock_pace(session, subject, now)
    after = begin_paced_attempt(before, rules.VISITS_ALLOWED, rules.VISIT_PAUSE, now)
    if isinstance(after, Locked):
        tell(SecurityEvent.SIGN_IN_LIMITED, limit="pace", what="provider")
        return math.ceil((after.until - now).total_seconds())
    await repository.save_pace(session, subject, after, now)
    return None
