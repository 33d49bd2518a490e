"""The example agencies and their first policies. The news site registers its articles itself, by API."""

from __future__ import annotations

from pathlib import Path

from services.paywall.policies.schemas import default_policy
from services.paywall.policies.service import Editor, PolicyService
from services.paywall.settings import PaywallSettings
from shared.agencies import at_website, read_agencies, save_agencies
from shared.clock import SystemClock
from shared.database import Database
from shared.errors import PreconditionError
from shared.startup import Duty, load_settings

AGENCIES_FILE = Path("infra/demo/agencies.toml")

#: Free articles a month: (anonymous, registered).
ALLOWANCES = {"bao-hung-yen": (3, 5), "dai-song-hong": (5, 10)}


async def run() -> None:
    """Safe to repeat: a policy that staff have changed stays as it is."""
    settings = load_settings(PaywallSettings, Duty.SETUP, "paywall")
    database = Database(settings.database_url, application_name="paywall-seed", pool_size=1)
    try:
        agencies = at_website(read_agencies(AGENCIES_FILE), settings.news_site_url)
        async with database.transaction() as session:
            await save_agencies(session, agencies)
        policies = PolicyService(database, SystemClock(settings.clock_offset_seconds))
        for agency, (anonymous, registered) in ALLOWANCES.items():
            try:
                await policies.put(
                    agency,
                    default_policy(anonymous, registered),
                    expected=0,
                    editor=Editor("seed"),
                )
            except PreconditionError:
                continue
    finally:
        await database.close()
