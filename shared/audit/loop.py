"""The loop that verifies the chains, for a service's worker (identity has none: its web process)."""

from __future__ import annotations

from shared.audit.service import Watch
from shared.clock import Clock
from shared.database import Database
from shared.loops import Loop, every

CHECK_SECONDS = 60.0
LIMIT_SECONDS = 900.0


def audit_loop(database: Database, clock: Clock, service: str) -> Loop:
    """What is new each minute, all of it once a day. Sets ``press_invariant_violations``."""
    watch = Watch(database, clock, service)

    async def check() -> None:
        await watch.check()

    return Loop("audit-chain", every(CHECK_SECONDS, check), limit_seconds=LIMIT_SECONDS)
