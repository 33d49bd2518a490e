"""Use cases of delivery: keep the plan, decide, count, redirect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import date
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import structlog
import uuid_utils

from services.ads import metrics
from services.ads.delivery import repository
from services.ads.delivery.leases import LeaseKeeper
from services.ads.delivery.models import Kind
from services.ads.delivery.plan import (
    AgencyPlan,
    LiveLine,
    Place,
    Plan,
    PlanRow,
    Shown,
    creative_json,
)
from services.ads.delivery.repository import Count
from services.ads.delivery.tokens import Token, TokenKeys, subject
from services.ads.settings import AdsSettings
from shared.agencies import agency_origins
from shared.clock import Clock, local_date
from shared.database import Database, GroupCommit
from shared.loops import Heartbeat

log = structlog.get_logger(__name__)

SUPPLY_SECONDS = 0.1
LOAD_PAUSE_SECONDS = 0.1  # many changes at once are one reload


class Delivery:
    """What a server process knows to decide and count. ``run_plan`` and ``run_supply`` are its loops."""

    def __init__(self, database: Database, settings: AdsSettings, clock: Clock) -> None:
        self.plan = Plan()
        self.loaded = False
        self.keys = TokenKeys.parse(settings.ads_token_keys)
        self.settings = settings
        self.clock = clock
        self.keeper = LeaseKeeper(database, settings)
        # Looked up once: labels() costs as much as drawing a line.
        self._guaranteed, self._house, self._empty = (
            metrics.DECISIONS.labels(outcome) for outcome in ("guaranteed", "house", "empty")
        )
        self._database = database
        self._ads_url = settings.ads_url.rstrip("/")
        self._changed = asyncio.Event()
        self._counting: GroupCommit[Count, bool] = GroupCommit(
            self._write, writers=settings.ads_count_writers
        )

    # The plan

    async def load(self) -> None:
        """Read the plan anew. Lines that stay keep their units; those that left give theirs back."""
        places, rows = await repository.read_plan(await self._database.pool())
        old = self.plan
        plan = build_plan(places, rows, old, self._ads_url)
        self.plan, self.loaded = plan, True
        metrics.PLAN_LINES.set(len(plan.lines))
        metrics.PLAN_AGE.set_to_current_time()
        gone = [line for line_id, line in old.lines.items() if line_id not in plan.lines]
        await self.keeper.give_back(gone, everything=True)

    async def ready(self) -> None:
        """For ``/readyz``. Raises until the plan has been read once."""
        if not self.loaded:
            raise LookupError("the delivery plan has not been read yet")

    async def run_plan(self, stop: asyncio.Event, heartbeat: Heartbeat) -> None:
        """Reload when the database says so, and every few seconds anyway (a day may have begun)."""
        listener: asyncpg.Connection | None = None
        try:
            while not stop.is_set():
                heartbeat.beat()
                if listener is None or listener.is_closed():
                    listener = await self._database.connect_raw()
                    await listener.add_listener(
                        repository.PLAN_CHANNEL, lambda *_: self._changed.set()
                    )
                self._changed.clear()
                await self.load()
                heartbeat.succeeded()
                await _first(stop, self._changed, self.settings.ads_plan_seconds)
                await _first(stop, None, LOAD_PAUSE_SECONDS)
        finally:
            if listener is not None and not listener.is_closed():
                await listener.close(timeout=2)

    async def run_supply(self, stop: asyncio.Event, heartbeat: Heartbeat) -> None:
        """Lease units for the plan's lines; give everything back at the end."""
        try:
            while not stop.is_set():
                heartbeat.beat()
                await self.keeper.supply(self.plan)
                heartbeat.succeeded()
                await _first(stop, None, SUPPLY_SECONDS)
        finally:
            await self.keeper.give_back(list(self.plan.lines.values()), everything=True)

    # Deciding: no await, no SQL

    def decide(
        self, place: Place, agency: str, avoid: set[UUID]
    ) -> tuple[LiveLine, Shown, str] | None:
        """A line for one placement with a signed token, or None. Guaranteed lines come before the house's."""
        drawn = place.draw(time.monotonic(), avoid)
        if drawn is not None:
            line, lease = drawn
            self._guaranteed.inc()
        elif place.house:
            line, lease = place.house[len(avoid) % len(place.house)], 0
            self._house.inc()
        else:
            self._empty.inc()
            return None
        line.turn += 1
        choices = line.shown[place.id]
        shown = choices[line.turn % len(choices)]
        token = self.keys.sign(
            shown.about,
            nonce=uuid_utils.uuid7().bytes,
            lease_id=lease,
            issued_at=int(self.clock.now().timestamp()),
        )
        return line, shown, token

    # Counting

    def lifetime(self, kind: Kind) -> int:
        if kind is Kind.IMPRESSION:
            return self.settings.ads_impression_seconds
        return self.settings.ads_click_seconds

    def expired(self, token: Token, kind: Kind) -> bool:
        age = self.clock.now().timestamp() - token.issued_at
        return age > self.lifetime(kind)

    async def count(self, token: Token, kind: Kind) -> bool:
        """True when it counted now, False when it had been counted before. Durable when this returns."""
        return await self._counting.submit(
            Count(
                token.nonce,
                int(kind),
                token.agency,
                token.line_id,
                token.creative_id,
                token.placement_id,
                token.lease_id,
                self._today(token.agency),
            )
        )

    async def click_url(self, creative_id: UUID) -> str | None:
        """Where the stored creative leads; never anything from a request."""
        known = self.plan.click_urls.get(creative_id)
        if known is not None:
            return known
        return await repository.click_url(await self._database.pool(), creative_id)

    async def drain(self) -> None:
        await self._counting.drain()

    def _today(self, agency: str) -> date:
        known = self.plan.agencies.get(agency)
        zone = known.zone if known else ZoneInfo("UTC")
        return local_date(self.clock.now(), zone)

    async def _write(self, facts: Sequence[Count]) -> list[bool]:
        return await repository.count(await self._database.pool(), facts)


def build_plan(
    places: Sequence[asyncpg.Record],
    rows: Sequence[PlanRow],
    old: Plan,
    ads_url: str,
) -> Plan:
    """The plan from what the database holds, with the old plan's units in hand."""
    plan = Plan(thirsty=old.thirsty)
    for place in places:
        agency = plan.agencies.setdefault(
            place["agency"],
            AgencyPlan(
                place["agency"],
                ZoneInfo(place["time_zone"]),
                agency_origins(place["website"], place["further_websites"]),
            ),
        )
        if place["id"] is not None:
            agency.places[place["code"]] = Place(place["id"], place["code"])
    plan.origins = frozenset[str]().union(*(agency.origins for agency in plan.agencies.values()))
    encoded: dict[UUID, bytes] = {}
    for row in rows:
        line = plan.lines.get(row.line_id) or _line(plan, old, row)
        if row.creative_id not in encoded:
            encoded[row.creative_id] = creative_json(row, ads_url)
            plan.click_urls[row.creative_id] = row.click_url
        about = subject(row.line_id, row.creative_id, row.placement_id, row.agency)
        line.shown.setdefault(row.placement_id, []).append(Shown(encoded[row.creative_id], about))
    _stand(plan)
    plan.thirsty.intersection_update(plan.lines)
    return plan


def _line(plan: Plan, old: Plan, row: PlanRow) -> LiveLine:
    before = old.lines.get(row.line_id)
    line = LiveLine(
        row.line_id,
        row.agency,
        row.priority,
        row.pacing,
        row.quantity,
        row.starts_on,
        row.ends_on,
        thirsty=plan.thirsty,
    )
    if before is not None:
        line.stock, line.over, line.low_mark = before.stock, before.over, before.low_mark
        line.refusals, line.ask_again_at = before.refusals, before.ask_again_at
    elif row.priority == "guaranteed":
        plan.thirsty.add(row.line_id)
    plan.lines[row.line_id] = line
    return line


def _stand(plan: Plan) -> None:
    by_place = {
        place.id: place for agency in plan.agencies.values() for place in agency.places.values()
    }
    for line in plan.lines.values():
        line.width = len(line.shown)
        ready = line.priority != "house" and line.units > 0
        for place_id in line.shown:
            place = by_place.get(place_id)
            if place is None:
                continue
            if line.priority == "house":
                place.house.append(line)
            elif ready:
                place.stand(line)


async def _first(stop: asyncio.Event, other: asyncio.Event | None, seconds: float) -> None:
    """Wait for either event, at most ``seconds``."""
    waits = [asyncio.ensure_future(event.wait()) for event in (stop, other) if event is not None]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
