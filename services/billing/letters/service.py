"""Letters: written in the transaction of their fact, sent by the worker.

A letter that may have become untrue (a reminder to somebody who has renewed) is found out when it is sent, by the present
facts (:func:`truth.still_true`), and not taken back by the use case that changed them: that way no use case can forget it,
also not one that is written later, and a letter that waited for the mail server for a day is judged like any other.

Reminders are written by a sweep over what ends soon (:meth:`Letters.sweep`), not when a term is bought: their time then
follows the term as it is, whatever was renewed or refunded meanwhile; a worker that was off writes what is still of use;
and one whose time has passed is never written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import structlog

from services.billing import metrics
from services.billing.bundles import repository as bundles
from services.billing.gifts import repository as gifts
from services.billing.letters import gift_words, repository, rules, seat_words
from services.billing.letters.codes import CodeLetters
from services.billing.letters.links import BackLink, Link, Links, UndoLink
from services.billing.letters.models import Letter
from services.billing.letters.render import mail_of
from services.billing.letters.repository import Claimed
from services.billing.letters.rules import Draft, Kind
from services.billing.letters.truth import still_true
from services.billing.letters.voice import Voice
from services.billing.letters.words import content_of, footer_of
from services.billing.offers import repository as offers_repository
from services.billing.offers import service as offers
from shared import audit
from shared.agencies import Agency, get_agency
from shared.clock import Clock
from shared.database import Database, Session
from shared.errors import UnavailableError
from shared.faults import fault_point
from shared.ids import new_id
from shared.loops import Heartbeat
from shared.mail import MailRefusedError, MailSender

log = structlog.get_logger(__name__)

POLL_SECONDS = 1.0
#: While no mail can be sent, one letter is tried this often.
AWAY_SECONDS = 5.0
#: How long letters wait behind money at most, and how often they look whether it still waits.
BEHIND_SECONDS, LOOK_AGAIN_SECONDS = 30.0, 0.2
REMINDERS_A_ROUND = 200
REMINDERS = (
    Kind.TERM_ENDING,
    Kind.TERM_ENDED,
    Kind.RENEWAL_REMINDER,
    Kind.TRIAL_ENDING,
    Kind.BUNDLE_ENDING,
    Kind.PRICE_RISES,
    Kind.WIN_BACK,
)

#: Why somebody gets a letter who may be nobody's reader.
STRANGERS = {Kind.INVITED: seat_words.invited_footer, Kind.GIFT: gift_words.footer}

#: What became of a letter that was taken up; ``away``: it waits, as would any other now.
Outcome = Literal["sent", "dropped", "retried", "given_up", "away"]


async def write(
    session: Session,
    agency: str,
    reader_id: UUID,
    draft: Draft,
    now: datetime,
    due_at: datetime | None = None,
) -> bool:
    """A letter, in the caller's transaction, in the reader's language; sent at once, or at ``due_at``. False when the fact was told
    before."""
    return await repository.write(session, new_id(), agency, reader_id, draft, now, due_at or now)


async def write_wish(
    session: Session, agency: str, reader_id: UUID, draft: Draft, now: datetime
) -> None:
    """Whether a subscription renews (``draft``: canceled or resumed), as its reader wishes now. Who changes their mind often is told
    once in :data:`rules.WISH_QUIET`, what they settled on last, and nothing where they know that."""
    told = await repository.take_back_wishes(session, reader_id, UUID(draft.facts["subscription"]))
    known = (
        told[0] if told else Kind.RESUMED
    )  # nobody needs to be told that what they bought renews
    if draft.kind is not known:
        due_at = max(now, told[1] + rules.WISH_QUIET) if told else now
        await write(session, agency, reader_id, draft, now, due_at)


async def told_already(session: Session, agency: str, key: str) -> bool:
    """Whether a letter was sent: what it says is known to its reader."""
    return await repository.sent_before(session, agency, key)


async def withdraw(session: Session, agency: str, key: str) -> None:
    """What a letter says is not so any more: it is not sent, where it was not sent yet."""
    await repository.withdraw(session, agency, key)


async def _due(session: Session, kind: Kind, now: datetime) -> Sequence[tuple[str, UUID, Draft]]:
    """(agency, reader, letter) of a kind whose time has come."""
    if kind is Kind.PRICE_RISES:
        return await offers_repository.rises_due(session, now, REMINDERS_A_ROUND)
    if kind is Kind.WIN_BACK:
        return await offers_repository.win_backs_due(session, now, REMINDERS_A_ROUND)
    if kind is not Kind.BUNDLE_ENDING:
        return await repository.reminders_due(session, kind, now, REMINDERS_A_ROUND)
    return [
        (
            one.agency,
            one.reader_id,
            rules.bundle_ending(
                one.id,
                rules.Sold(one.name_vi, one.name_en, "once"),
                one.left(now),
                one.uses,
                one.valid_until,
                now,
            ),
        )
        for one in await bundles.ending(session, now, rules.BUNDLE_BEFORE, REMINDERS_A_ROUND)
    ]


class Letters(CodeLetters):
    """Sends what was written, and writes reminders."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        mail: MailSender,
        links: Links,
        *,
        public_url: str,
    ) -> None:
        self._database = database
        self._clock = clock
        self._mail = mail
        self._links = links
        super().__init__(public_url=public_url)

    def subject(self, agency: Agency, letter: Mapping[str, Any]) -> str:
        """What a letter (``kind``, ``language``, ``facts``) has in its subject line."""
        words, language = self._words, letter["language"]
        voice = Voice(words, language, agency, self._public_url, lambda _: "", lambda _: "")
        return content_of(voice, Kind(letter["kind"]), letter["facts"]).subject

    async def sweep(self) -> int:
        """Write the reminders whose time has come. Returns how many."""
        total = 0
        for kind in REMINDERS:
            found = REMINDERS_A_ROUND
            while found == REMINDERS_A_ROUND:
                now = self._clock.now()
                async with self._database.transaction() as session:
                    due = await _due(session, kind, now)
                    for agency, reader_id, draft in due:
                        total += await write(session, agency, reader_id, draft, now)
                found = len(due)
        return total

    async def send_one(self) -> Outcome | None:
        """Take up the next due letter. None when nothing is due.

        The letter's row stays locked while it is sent, and no other. What goes wrong is written down with it.
        """
        letter: Claimed | None = None
        outcome: Outcome
        try:
            async with self._database.transaction() as session:
                letter = await repository.claim(session, self._clock.now())
                if letter is None:
                    return None
                if not await self._holds(session, letter):
                    outcome = "dropped"
                    await self._mark(session, letter, outcome)
                else:
                    await fault_point("letter.before_send")
                    outcome = await self._deliver(session, letter)
        except Exception as error:
            # Whatever it is: the letter waits, or is given up, and the others go on.
            if letter is None:
                raise
            log.exception("letter_failed", letter=str(letter.id), kind=letter.kind)
            async with self._database.transaction() as session:
                outcome = await self._failed(session, letter, error)
        metrics.LETTERS.labels(letter.kind, outcome).inc()
        return outcome

    async def _holds(self, session: Session, letter: Claimed) -> bool:
        """Whether it is still true."""
        subscription = order = None
        bundle_left = 0
        if "bundle" in letter.facts:
            held = await bundles.one(session, letter.agency, UUID(letter.facts["bundle"]))
            bundle_left = held.left(self._clock.now()) if held is not None else 0
        if "subscription" in letter.facts:
            subscription = await repository.subscription_now(
                session, letter.agency, UUID(letter.facts["subscription"])
            )
        if "order" in letter.facts:
            order = await repository.order_now(session, letter.agency, UUID(letter.facts["order"]))
        now, invited = self._clock.now(), False
        if "invitation" in letter.facts:
            id_ = UUID(letter.facts["invitation"])
            invited = await repository.invitation_open(session, letter.agency, id_, now)
        return still_true(
            letter.kind,
            letter.facts,
            now,
            subscription=subscription,
            order=order,
            bundle_left=bundle_left,
            invited=invited,
            rise=await offers_repository.rise_of(session, UUID(letter.facts["subscription"]), now)
            if letter.kind is Kind.PRICE_RISES
            else None,
            gift_stands=letter.kind is Kind.GIFT
            and bool(
                await gifts.code_that_stands(session, letter.agency, UUID(letter.facts["gift"]))
            ),
            wins_back=letter.kind is Kind.WIN_BACK
            and await offers.still_wins_back(
                session, letter.reader_id, UUID(letter.facts["offer_id"]), now
            ),
        )

    async def _deliver(self, session: Session, letter: Claimed) -> Outcome:
        agency = await get_agency(session, letter.agency)
        now = self._clock.now()

        def token(subscription_id: UUID) -> str:
            return self._links.token(Link(agency.id, letter.reader_id, subscription_id), now)

        def back(offer_id: UUID) -> str:
            return self._links.back_token(BackLink(agency.id, letter.reader_id, offer_id), now)

        def undo(change_id: UUID, until: datetime) -> str:
            return self._links.undo_token(UndoLink(agency.id, letter.reader_id, change_id), until)

        voice = Voice(self._words, letter.language, agency, self._public_url, token, back, undo)
        facts = letter.facts
        if letter.kind is Kind.GIFT:  # what opens something is no fact that is kept with the letter
            gift_id = UUID(facts["gift"])
            facts = facts | {"code": await gifts.code_that_stands(session, agency.id, gift_id)}
        content = content_of(voice, letter.kind, facts)
        mail = mail_of(
            voice,
            content,
            letter.email,
            stranger(voice, letter.email, facts)
            if (stranger := STRANGERS.get(letter.kind))
            else footer_of(voice, letter.email, letter.kind),
            message_id=f"letter.{letter.id}",
        )
        try:
            await self._mail.send(mail)
        except UnavailableError as error:
            outcome = await self._failed(session, letter, error)
            refused = isinstance(error, MailRefusedError) or outcome == "given_up"
            return outcome if refused else "away"
        await fault_point("letter.sent")
        await self._mark(session, letter, "sent")
        return "sent"

    async def _failed(self, session: Session, letter: Claimed, error: Exception) -> Outcome:
        now = self._clock.now()
        given_up = rules.gives_up(letter.attempts + 1, letter.due_at, now)
        cause = type(error.__cause__ or error).__name__
        await repository.mark(
            session,
            letter,
            "given_up" if given_up else "waiting",
            now=now,
            next_at=now + rules.delay(letter.attempts + 1),
            error=cause,
        )
        outcome: Outcome = "given_up" if given_up else "retried"
        level = log.error if given_up else log.warning
        level(f"letter_{outcome}", letter=str(letter.id), kind=letter.kind, error=cause)
        return outcome

    async def _mark(self, session: Session, letter: Claimed, state: str) -> None:
        now = self._clock.now()
        await repository.mark(session, letter, state, now=now, next_at=now, error="")

    async def send_due(self) -> int:
        """Everything that is due now, until no mail can be sent. Returns how many were sent."""
        sent = 0
        while (outcome := await self.send_one()) not in (None, "away"):
            sent += outcome == "sent"
        return sent

    async def run(
        self,
        stop: asyncio.Event,
        heartbeat: Heartbeat,
        money_waits: Callable[[], bool] = lambda: False,
    ) -> None:
        """The worker's loop: one letter after the other. While ``money_waits`` to be booked they wait too, for ``BEHIND_SECONDS`` at
        most: both need the same processor, and a receipt is of what is in the books."""
        behind_since: float | None = None
        while not stop.is_set():
            heartbeat.beat()
            behind_since = (behind_since or time.monotonic()) if money_waits() else None
            if behind_since is not None and time.monotonic() < behind_since + BEHIND_SECONDS:
                heartbeat.succeeded()
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), LOOK_AGAIN_SECONDS)
                continue
            outcome = await self.send_one()
            heartbeat.succeeded()
            if outcome in (None, "away"):
                pause = AWAY_SECONDS if outcome else POLL_SECONDS
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause)

    async def listing(self, state: str | None, limit: int) -> Sequence[Letter]:
        """The newest first; ``state`` None: all of them."""
        async with self._database.read() as session:
            return await repository.listing(session, state, limit)

    async def settle_given_up(self, ids: Sequence[UUID] | None, *, again: bool) -> int:
        """Letters that were given up (all with None) are tried ``again``, or let go. Returns how many."""
        now = self._clock.now()
        action = audit.Action.LETTERS_RETRIED if again else audit.Action.LETTERS_DROPPED
        async with self._database.transaction() as session:
            settled = await repository.settle_given_up(
                session, ids, "waiting" if again else "dropped", now
            )
            for agency in sorted({agency for agency, _ in settled}):
                own = sorted(str(id_) for of, id_ in settled if of == agency)
                await audit.record(
                    session,
                    action,
                    agency=agency,
                    at=now,
                    subject="letters",
                    after={"count": len(own), "letters": own},
                )
        return len(settled)

    async def measure(self) -> None:
        """The gauges."""
        now = self._clock.now()
        async with self._database.read() as session:
            state = await repository.letters_state(session, now)
        metrics.LETTERS_WAITING.set(state.waiting)
        metrics.LETTERS_GIVEN_UP.set(state.given_up)
        age = (now - state.oldest_at).total_seconds() if state.oldest_at else 0.0
        metrics.LETTERS_AGE.set(max(age, 0.0))
