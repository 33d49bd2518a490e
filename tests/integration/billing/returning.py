"""Money that goes back through the card provider: what its bank does, in the sandbox, and how billing stands afterwards."""

from __future__ import annotations

from typing import Any

import asyncpg
from sqlalchemy import text

from services.billing.charges.returns import NotYetError
from services.billing.payments.adapters.port import Look, Notification
from services.billing.payments.adapters.stripe_shapes import LISTENED
from services.billing.webhooks.repository import Claimed
from services.billing.webhooks.service import LookFirstError
from tests.fixtures.roles import as_superuser
from tests.integration.billing.world import World

API = {"Authorization": "Bearer sk_test_world"}
MONTH = 59_000


async def at_the_bank(world: World, path: str, **body: Any) -> Any:
    """An act of the sandbox's control page."""
    answer = await world.payer.post(
        f"/sandbox/{path}", json=body, headers={"Sandbox-Control-Token": "control-token"}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


async def at_the_provider(world: World, path: str, **form: Any) -> Any:
    """What somebody does in the provider's dashboard."""
    answer = await world.payer.post(f"/v1/{path}", data=form, headers=API)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def reference_of(world: World, email: str = "lan@example.vn") -> str:
    """Of a reader's newest payment by card."""
    found: str = await world.value(
        """SELECT p.reference FROM payment p JOIN reader r ON r.id = p.reader_id
           WHERE r.email = :email AND p.provider = 'stripe' ORDER BY p.paid_at DESC, p.id DESC LIMIT 1""",
        email=email,
    )
    return found


async def charge_of(world: World, reference: str) -> str:
    answer = await world.payer.get(f"/v1/payment_intents/{reference}", headers=API)
    return str(answer.json()["latest_charge"])


async def dashboard_refund(world: World, reference: str, **form: Any) -> str:
    """The provider's id of a refund that somebody makes there."""
    made = await at_the_provider(world, "refunds", payment_intent=reference, **form)
    return str(made["id"])


async def dispute(world: World, reference: str, **body: Any) -> str:
    """The provider's id of a dispute that the holder's bank opens."""
    made = await at_the_bank(world, f"charges/{await charge_of(world, reference)}/dispute", **body)
    return str(made["id"])


async def notified(world: World, *types: str) -> list[Notification]:
    """The provider's own list of events, oldest first."""
    since = world.clock.now() - 20 * (world.clock.now() - world.clock.now().replace(hour=0))
    wanted = types or LISTENED
    found = [one async for one in world.billing.provider.notifications_since(since, wanted)]
    return found[::-1]


async def tell(world: World, *told: Notification) -> None:
    """Notifications come in, in this order, each applied before the next one, also one that came before; what has to wait for
    another comes again after them."""
    waiting = list(told)
    while waiting:
        later = [one for one in waiting if not await _told(world, one)]
        assert len(later) < len(waiting), "each waits for another"
        waiting = later


async def _told(world: World, one: Notification) -> bool:
    handle, looked = world.billing.applier._handlers["stripe"], dict[Look, Any]()
    while True:
        try:
            async with world.billing.database.transaction() as session:
                await handle(
                    session, Claimed("stripe", one.id, one.type, one.payload, 0, None), looked
                )
            return True
        except NotYetError:
            return False
        except LookFirstError as first:
            assert first.wanted not in looked
            looked[first.wanted] = await world.billing.provider.look(first.wanted)


async def with_vat(world: World, basis_points: int = 800) -> None:
    """Press subscriptions are taxed from now on."""
    connection = await asyncpg.connect(as_superuser(world.billing.settings.database_url))
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(
            "UPDATE vat_rate SET treatment = 'rate', rate_basis_points = $1", basis_points
        )
    finally:
        await connection.close()


async def booked(world: World, agency: str | None = None) -> dict[str, int]:
    """Every account that is not zero, over all agencies or of one."""
    rows = await world.rows(
        """SELECT account, sum(amount_vnd)::bigint FROM journal_line
           WHERE CAST(:agency AS text) IS NULL OR agency = :agency GROUP BY 1 HAVING sum(amount_vnd) <> 0""",
        agency=agency,
    )
    return dict(rows)


async def picture(world: World) -> dict[str, Any]:
    """What must come out the same, whatever came first."""
    queries = {
        "payments": "SELECT reference, amount_vnd, refunded_vnd FROM payment ORDER BY 1",
        "refunds": """SELECT provider_refund, kind, amount_vnd FROM refund WHERE failed_at IS NULL ORDER BY 1""",
        "told": """SELECT provider_refund, succeeded_at IS NOT NULL, failed_at IS NOT NULL FROM provider_refund
            ORDER BY 1""",
        "disputes": """SELECT provider_dispute, state, was_lost, fee_vnd, withdrawn_at IS NOT NULL,
            reinstated_at IS NOT NULL FROM dispute ORDER BY 1""",
        "subscriptions": "SELECT state, cancel_at_period_end, mrr_vnd, period_end FROM subscription ORDER BY id",
        "mandates": "SELECT method, revoked_at IS NOT NULL FROM mandate ORDER BY 1",
        "rights": """SELECT reader_id, scope, valid_from, valid_until FROM entitlement WHERE NOT revoked
            ORDER BY 1, 2, 3""",
        "books": "SELECT agency, account, sum(amount_vnd)::bigint FROM journal_line GROUP BY 1, 2 ORDER BY 1, 2",
        "shares": """SELECT o.provider_payout, s.agency, sum(s.net_vnd)::bigint, sum(s.fees_vnd)::bigint,
            bool_and(s.failed_at IS NOT NULL) FROM payout_share s JOIN payout o ON o.id = s.payout_id
            GROUP BY 1, 2 ORDER BY 1, 2""",
        "requests": "SELECT id, state, provider_refund FROM refund_request ORDER BY 1",
    }
    async with world.billing.database.read() as session:
        return {
            name: [tuple(row) for row in await session.execute(text(sql))]
            for name, sql in queries.items()
        }
