"""The use case: gather the facts (from memory where they are), decide, grant, count."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from services.paywall import metrics
from services.paywall.articles.service import ArticleMemory
from services.paywall.decisions.counts import DecisionCounts
from services.paywall.decisions.grants import NOBODY, Grants
from services.paywall.decisions.rules import (
    CONTROL,
    Action,
    Decision,
    Facts,
    MeterState,
    Right,
    decide,
    fall_back,
)
from services.paywall.decisions.schemas import Answer, MeterOut, Offer
from services.paywall.entitlements.service import EntitlementMemory
from services.paywall.meters.networks import NewReaders
from services.paywall.meters.repository import Look, View
from services.paywall.meters.rules import device_key, new_meter_id, reader_key, website_key
from services.paywall.meters.service import Meter, MeterAwayError
from services.paywall.policies.rules import Window
from services.paywall.policies.service import AgencyPolicy, PolicyBook
from shared.clock import Clock
from shared.database import RAW_FAILURES
from shared.errors import NotFoundError

Offers = dict[tuple[str, Action, bool], tuple[Offer, ...]]


@dataclass(slots=True)
class Asker:
    """Who asks, as far as it could be verified. ``device_id`` is filled in when a new reader gets one."""

    device_id: str | None = None  # from the signed cookie
    website_id: str | None = None  # kept by the website's back end
    reader_id: UUID | None = None
    rights: tuple[Right, ...] = ()
    by_key: bool = False  # a website's back end: it needs no grant
    address: str = ""
    is_new: bool = False

    @property
    def signed_in(self) -> bool:
        return self.reader_id is not None

    def subject(self) -> str:
        """Whom a grant names: the reader or the pseudonymous device."""
        if self.reader_id is not None:
            return str(self.reader_id)
        return self.device_id or NOBODY

    def keys(self, agency: str) -> tuple[str | None, str | None]:
        """The meter's key, and the device whose views belong to it too."""
        device = None
        if self.website_id is not None:
            device = website_key(self.website_id)
        elif self.device_id is not None:
            device = device_key(agency, self.device_id)
        if self.reader_id is not None:
            return reader_key(str(self.reader_id)), device
        return device, None


class DecisionService:
    """Answers questions about articles."""

    def __init__(
        self,
        *,
        clock: Clock,
        articles: ArticleMemory,
        policies: PolicyBook,
        entitlements: EntitlementMemory,
        meter: Meter,
        new_readers: NewReaders,
        grants: Grants,
        counts: DecisionCounts,
        billing_url: str,
    ) -> None:
        self._clock = clock
        self._articles = articles
        self._policies = policies
        self._entitlements = entitlements
        self._meter = meter
        self._new_readers = new_readers
        self._grants = grants
        self._counts = counts
        self._billing_url = billing_url.rstrip("/")
        self._offers: Offers = {}

    async def ask(self, agency_id: str, article_id: str, asker: Asker) -> Answer:
        """Decide and, where the meter decides, count. Raises :class:`NotFoundError`, ``OverloadedError``."""
        agency = self._agency(agency_id)
        facts = Facts(
            agency.policy,
            self._access(agency_id, article_id),
            signed_in=asker.signed_in,
            rights=asker.rights,
            article=article_id,
        )
        now = self._clock.now()
        window = agency.window(now)
        decision = decide(facts, now)
        try:
            if asker.reader_id is not None and (decision is None or not decision.granted):
                facts = replace(facts, rights=await self._own_copy(agency, asker.reader_id))
                decision = decide(facts, now)
            if decision is None:
                decision = await self._metered(agency, window, article_id, facts, asker, now)
        except MeterAwayError:
            decision = self._by_failure_mode(agency, window, article_id, facts, asker)
        self._counts.add(
            (
                agency_id,
                decision.reason,
                decision.rule_id,
                agency.policy.version,
                CONTROL,
                decision.granted,
            )
        )
        return self._answer(agency, article_id, decision, asker, now, with_grant=True)

    async def look(self, agency_id: str, article_ids: Sequence[str], asker: Asker) -> list[Answer]:
        """A dry run: what would be decided now, counting nothing and granting nothing."""
        agency, now = self._agency(agency_id), self._clock.now()
        accesses = [self._access(agency_id, id_) for id_ in article_ids]
        rights, opened, away = asker.rights, frozenset[str](), False
        key, device = asker.keys(agency_id)
        window = agency.window(now)
        timeout = agency.policy.timeout_seconds
        try:
            if asker.reader_id is not None:
                rights += await self._own_copy(agency, asker.reader_id)
            if key is not None:
                opened = await self._meter.look(Look(agency_id, key, window, device), timeout)
        except MeterAwayError:
            away = True
        answers = []
        limit = agency.policy.allowance(signed_in=asker.signed_in)
        for article_id, access in zip(article_ids, accesses, strict=True):
            facts = Facts(
                agency.policy,
                access,
                signed_in=asker.signed_in,
                rights=rights,
                article=article_id,
            )
            unlocked = article_id in opened or len(opened) < limit
            state = MeterState(limit, len(opened), unlocked, window.end)
            decision = decide(facts if away else replace(facts, meter=state), now)
            answers.append(
                self._answer(
                    agency,
                    article_id,
                    decision or fall_back(facts),
                    asker,
                    now,
                    with_grant=False,
                )
            )
        return answers

    def _agency(self, agency_id: str) -> AgencyPolicy:
        agency = self._policies.get(agency_id)
        if agency is None:
            raise NotFoundError(f"There is no agency {agency_id!r}", slug="agency-unknown")
        return agency

    def _access(self, agency_id: str, article_id: str) -> str:
        access = self._articles.access(agency_id, article_id)
        if access is None:
            raise NotFoundError(
                f"The website has not registered an article {article_id!r}", slug="article-unknown"
            )
        return access

    async def _own_copy(self, agency: AgencyPolicy, reader_id: UUID) -> tuple[Right, ...]:
        """Raises :class:`MeterAwayError`: the failure mode covers this query too."""
        known = self._entitlements.known(agency.agency.id, reader_id)
        if known is not None:
            return known
        try:
            async with asyncio.timeout(agency.policy.timeout_seconds):
                return await self._entitlements.get(agency.agency.id, reader_id)
        except RAW_FAILURES as error:
            raise MeterAwayError from error

    async def _metered(
        self,
        agency: AgencyPolicy,
        window: Window,
        article_id: str,
        facts: Facts,
        asker: Asker,
        now: datetime,
    ) -> Decision:
        """Ask the meter. A reader without a cookie becomes a new one, as far as their network may."""
        if not self._identified(asker, now):
            refused = decide(replace(facts, network_exhausted=True), now)
            assert refused is not None
            return refused
        view = self._view(agency, window, article_id, asker)
        counted = await self._meter.count(view, agency.policy.timeout_seconds)
        state = MeterState(view.limit, counted.used, counted.granted, window.end)
        # Built anew: dataclasses.replace costs more than the whole decision.
        known = Facts(
            facts.policy,
            facts.access,
            facts.signed_in,
            facts.rights,
            meter=state,
            article=facts.article,
        )
        decision = decide(known, now)
        assert decision is not None
        return decision

    def _identified(self, asker: Asker, now: datetime) -> bool:
        if asker.keys("")[0] is not None:
            return True
        if not self._new_readers.admit(asker.address, now):
            return False
        asker.device_id, asker.is_new = new_meter_id(secrets.token_bytes(16)), True
        return True

    @staticmethod
    def _view(agency: AgencyPolicy, window: Window, article_id: str, asker: Asker) -> View:
        key, device = asker.keys(agency.agency.id)
        assert key is not None
        limit = agency.policy.allowance(signed_in=asker.signed_in)
        return View(agency.agency.id, key, window, article_id, limit, device)

    def _by_failure_mode(
        self, agency: AgencyPolicy, window: Window, article_id: str, facts: Facts, asker: Asker
    ) -> Decision:
        decision = fall_back(facts)
        metrics.FALLBACKS.labels(agency.policy.failure_mode).inc()
        metered = decide(replace(facts, rights=()), self._clock.now()) is None
        if decision.granted and metered and asker.keys("")[0] is not None:
            self._meter.count_later(self._view(agency, window, article_id, asker))
        return decision

    def _answer(
        self,
        agency: AgencyPolicy,
        article_id: str,
        decision: Decision,
        asker: Asker,
        now: datetime,
        *,
        with_grant: bool,
    ) -> Answer:
        meter, id_ = decision.meter, agency.agency.id
        grant = None
        if with_grant and decision.granted and not asker.by_key:
            grant = self._grants.grant(
                agency=id_,
                article_id=article_id,
                subject=asker.subject(),
                reason=decision.reason.value,
                now=now,
            )
        return Answer(
            article_id,
            decision.granted,
            decision.reason,
            decision.rule_id,
            agency.policy.version,
            CONTROL,
            MeterOut(meter.limit, meter.used, meter.left, meter.resets_at) if meter else None,
            decision.action,
            self._offers_for(id_, decision.action, asker.signed_in),
            decision.degraded,
            grant,
        )

    def _offers_for(self, agency: str, action: Action, signed_in: bool) -> tuple[Offer, ...]:
        if action is Action.NONE:
            return ()
        key = (agency, action, signed_in)
        found = self._offers.get(key)
        if found is None:
            base = f"{self._billing_url}/r/{agency}"
            offers = [Offer("subscribe", f"{base}/plans")]
            if action is Action.REGISTER:
                offers.insert(0, Offer("register", f"{base}/sign-in"))
            elif not signed_in:
                offers.append(Offer("sign_in", f"{base}/sign-in"))
            found = self._offers[key] = tuple(offers)
        return found
