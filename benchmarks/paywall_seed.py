"""Readers and articles for ``paywall_load.lua``: articles and a policy in the database, signed cookies in a file.

``python -m benchmarks.paywall_seed OUT --readers 20000 --articles 500`` with the environment of the paywall
(``DATABASE_URL``, ``COOKIE_SECRET`` or ``FORM_TOKEN_SECRET``).
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
from datetime import UTC, datetime
from pathlib import Path

from services.paywall.articles import repository as articles
from services.paywall.meters.rules import MeterIds, new_meter_id
from services.paywall.policies.schemas import default_policy
from services.paywall.policies.service import Editor, PolicyService
from services.paywall.settings import PaywallSettings
from shared.clock import SystemClock
from shared.database import Database
from shared.errors import NotFoundError

AGENCY = "bao-hung-yen"


async def fill(settings: PaywallSettings, count: int) -> None:
    """``bench-free`` and ``bench-1 …``, and an allowance that is never used up."""
    database = Database(settings.database_url, application_name="bench-seed", pool_size=1)
    try:
        async with database.transaction() as session:
            for name in ["free", *range(1, count + 1)]:
                await articles.put(
                    session,
                    agency=AGENCY,
                    id_=f"bench-{name}",
                    title=f"Bài đo {name}",
                    url=f"https://example.vn/bench-{name}",
                    section="",
                    tags=[],
                    access="free" if name == "free" else "metered",
                    published_at=datetime(2026, 1, 1, tzinfo=UTC),
                )
        policies = PolicyService(database, SystemClock())
        try:
            version = (await policies.get(AGENCY)).version
        except NotFoundError:
            version = 0
        await policies.put(
            AGENCY, default_policy(1000, 1000), expected=version, editor=Editor("benchmark")
        )
    finally:
        await database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--readers", type=int, default=20_000)
    parser.add_argument("--articles", type=int, default=500)
    options = parser.parse_args()
    settings = PaywallSettings()
    asyncio.run(fill(settings, options.articles))
    ids = MeterIds(settings.cookie_secrets())
    signed = (ids.sign(new_meter_id(secrets.token_bytes(16))) for _ in range(options.readers))
    options.out.write_text("\n".join(signed) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
