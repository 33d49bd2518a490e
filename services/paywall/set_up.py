"""The paywall's part of set-up: a first policy for every agency that has a website."""

from __future__ import annotations

from services.paywall.policies.schemas import default_policy
from services.paywall.policies.service import PolicyService
from services.paywall.settings import PaywallSettings
from shared.audit import Actor, caller
from shared.clock import SystemClock
from shared.database import Database
from shared.errors import PreconditionError
from shared.setup import AgenciesFile, FreeArticles

USUAL = FreeArticles(anonymous=3, registered=5)


async def take_in(database: Database, settings: PaywallSettings, file: AgenciesFile) -> None:
    """A policy that is there already, whoever made it, stays as it is."""
    present = caller()
    editor = (present and present.actor) or Actor.command("setup")
    policies = PolicyService(database, SystemClock(settings.clock_offset_seconds))
    for agency in file.agencies:
        if not agency.website:
            continue
        free = agency.free_articles or USUAL
        try:
            await policies.put(
                agency.id,
                default_policy(free.anonymous, free.registered),
                expected=0,
                editor=editor,
            )
        except PreconditionError:
            continue
