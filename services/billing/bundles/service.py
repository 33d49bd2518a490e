"""Bundles: so many articles are paid for at once, and each is chosen by a press of the reader.

Meaning: a use opens one article; an article that is open costs nothing more; no bundle opens more than was paid for, and none after
its last day or once all its money went back. What makes it true: everything of one reader happens one after the other (the reader's
lock), the right is written in the transaction of its use, and the table counts the uses. Locks: the reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.billing import metrics
from services.billing.bundles import repository, rules
from services.billing.bundles.models import Bundle, BundleUse
from services.billing.bundles.repository import Held
from services.billing.payments.models import Payment
from services.billing.plans.repository import Offer
from services.billing.readers.models import Reader
from services.billing.subscriptions import once
from services.billing.subscriptions import repository as subscriptions_repository
from shared.clock import Clock
from shared.database import Database, Session
from shared.errors import ConflictError
from shared.ids import new_id


async def begin(session: Session, payment: Payment, offer: Offer) -> None:
    """A bundle was paid for: from now on it opens articles (the caller holds the reader's lock)."""
    assert payment.order_id is not None and offer.uses is not None  # the tables say so
    assert payment.period_start is not None and payment.period_end is not None
    session.add(
        Bundle(
            id=new_id(),
            agency=payment.agency,
            reader_id=payment.reader_id,
            order_id=payment.order_id,
            uses=offer.uses,
            valid_from=payment.period_start,
            valid_until=payment.period_end,
        )
    )
    await session.flush()


@dataclass(frozen=True, slots=True)
class OwnBundle:
    """A bundle as its reader sees it: how it stands, how many articles it still opens, and which it has."""

    held: Held
    left: int
    articles: Sequence[dict[str, Any]]


class Bundles:
    """Use cases of a reader with a bundle."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def use(self, reader: Reader, article: str) -> bool:
        """Open an article (the newspaper's id of it) by the bundle that ends first. False when it was open already: nothing was used.

        Raises :class:`ConflictError` where no bundle opens another article.
        """
        now = self._clock.now()
        async with self._database.transaction() as session:
            await subscriptions_repository.lock_reader(session, reader.id)
            scope = f"article:{article}"
            if await subscriptions_repository.opens(session, reader.id, ("site", scope), now):
                return False
            held = await repository.first_to_end(session, reader.id, now)
            if held is None:
                raise ConflictError(slug="no-uses-left")
            days = await repository.article_days(session, reader.agency)
            use = BundleUse(
                id=new_id(),
                bundle_id=held.id,
                agency=held.agency,
                reader_id=reader.id,
                uses=held.uses,
                number=held.used + 1,
                article=article,
                used_at=now,
                readable_until=rules.readable_until(now, held.valid_until, days),
            )
            session.add(use)
            await session.flush()
            right = once.OnceRight(
                None, held.plan_code, scope, now, use.readable_until, use_id=use.id
            )
            await once.grant_once(session, right, reader.agency, reader.id, now)
        metrics.BUNDLE_USES.labels(reader.agency).inc()
        return True

    async def offered(self, reader_id: UUID) -> tuple[Held, int] | None:
        """The bundle by which the reader would open the next article, and how many it still opens."""
        now = self._clock.now()
        async with self._database.read() as session:
            held = await repository.first_to_end(session, reader_id, now)
        return (held, held.left(now)) if held is not None else None

    async def of_reader(self, reader_id: UUID) -> list[OwnBundle]:
        """All of a reader's, the one that ends last first."""
        now = self._clock.now()
        async with self._database.read() as session:
            found = await repository.of_reader(session, reader_id)
            articles = await repository.articles(session, [one.id for one in found])
        return [
            OwnBundle(
                one,
                one.left(now),
                [
                    row | {"open": not row["revoked"] and row["valid_until"] > now}
                    for row in articles
                    if row["bundle_id"] == one.id
                ],
            )
            for one in found
        ]

    async def of_order(self, order_id: UUID) -> Held | None:
        """What an order's payment bought, where it is a bundle."""
        async with self._database.read() as session:
            return await repository.of_order(session, order_id)
