"""The example agencies and their first policies. The news site registers its articles itself, by API."""

from __future__ import annotations

from pathlib import Path

from services.paywall.policies.schemas import default_policy
from services.paywall.policies.service import PolicyService
from services.paywall.settings import PaywallSettings
from shared.agencies import at_website, read_agencies, save_agencies
from shared.audit import Actor
from shared.errors import PreconditionError
from shared.process import Process

AGENCIES_FILE = Path("infra/demo/agencies.toml")

#: Free articles a month: (anonymous, registered).
ALLOWANCES = {"bao-hung-yen": (3, 5), "dai-song-hong": (5, 10)}


async def run(process: Process[PaywallSettings]) -> None:
    """Safe to repeat: a policy that staff have changed stays as it is."""
    agencies = at_website(read_agencies(AGENCIES_FILE), process.settings.news_site_url)
    async with process.database.transaction() as session:
        await save_agencies(session, agencies, actor=Actor.system("seed"))
    policies = PolicyService(process.database, process.clock)
    for agency, (anonymous, registered) in ALLOWANCES.items():
        try:
            await policies.put(
                agency,
                default_policy(anonymous, registered),
                expected=0,
                editor=Actor.system("seed"),
            )
        except PreconditionError:
            continue
