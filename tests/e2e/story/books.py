"""Chapter two: the books. What was paid is in the ledger, crossed the bus, and shows in finance's figures."""

from __future__ import annotations

from tests.e2e.story.teller import AGENCY, Story, eventually

PRICE = 59_000
ONLINE_SUBSCRIPTION = {"agency": AGENCY, "segment": "online", "stream": "subscription"}


async def remember_gauges(story: Story) -> None:
    """The figures before anything was paid."""
    for key, name in (
        ("revenue", "press_revenue_ytd_vnd"),
        ("deferred", "press_deferred_revenue_vnd"),
        ("mrr", "press_mrr_vnd"),
    ):
        story.figures[f"{key} before"] = await story.gauge(name, **ONLINE_SUBSCRIPTION)


async def tell(story: Story) -> None:
    recognised = await _ledger(story)
    await _entitlement(story)
    await _gauges(story, recognised)


async def _ledger(story: Story) -> int:
    async with story.step("The ledger balances") as facts:
        total = await story.number(
            "billing", "SELECT coalesce(sum(amount_vnd), 0) FROM journal_line"
        )
        crooked = await story.number(
            "billing",
            """SELECT count(*) FROM (SELECT entry_id FROM journal_line GROUP BY entry_id
                                     HAVING sum(amount_vnd) <> 0) AS crooked""",
        )
        lines = await story.number("billing", "SELECT count(*) FROM journal_line")
        assert (total, crooked) == (0, 0)
        assert lines > 0

        async def earned() -> bool:
            return await _account(story, "revenue_subscription") < 0

        await eventually("the first day is earned on the day of payment", earned)
        recognised = -await _account(story, "revenue_subscription")
        deferred = -await _account(story, "deferred_subscription")
        assert deferred + recognised == PRICE, (deferred, recognised)
        facts.append(
            f"{lines} lines sum to 0; {PRICE} ₫ = {recognised} recognised + {deferred} deferred"
        )
        return recognised


async def _account(story: Story, code: str) -> int:
    return await story.number(
        "billing",
        """SELECT coalesce(sum(amount_vnd), 0) FROM journal_line
           WHERE agency = $1 AND account = $2""",
        AGENCY,
        code,
    )


async def _entitlement(story: Story) -> None:
    async with story.step("The entitlement crossed NATS into the paywall's database") as facts:

        async def arrived() -> bool:
            return (
                await story.number(
                    "paywall",
                    "SELECT count(*) FROM entitlement WHERE agency = $1 AND valid_until > now()",
                    AGENCY,
                )
                == 1
            )

        await eventually("one entitlement in the paywall", arrived)
        sent = await story.number(
            "billing",
            """SELECT count(*) FROM outbox WHERE subject LIKE 'billing.entitlement.%'
               AND published_at IS NOT NULL""",
        )
        assert sent >= 1
        facts.append(f"{sent} event published, 1 entitlement there")


async def _gauges(story: Story, recognised: int) -> None:
    async with story.step("Revenue rose by what was recognised, deferred by the rest") as facts:

        async def risen() -> bool:
            revenue = await story.gauge("press_revenue_ytd_vnd", **ONLINE_SUBSCRIPTION)
            deferred = await story.gauge("press_deferred_revenue_vnd", **ONLINE_SUBSCRIPTION)
            return (
                revenue - story.figures["revenue before"],
                deferred - story.figures["deferred before"],
            ) == (recognised, PRICE - recognised)

        await eventually("the gauges moved by exactly these amounts", risen)
        mrr = await story.gauge("press_mrr_vnd", **ONLINE_SUBSCRIPTION)
        assert mrr - story.figures["mrr before"] == PRICE
        facts.append(f"+{recognised} ₫ revenue, +{PRICE - recognised} ₫ deferred, +{PRICE} ₫ MRR")
