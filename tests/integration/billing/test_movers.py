"""Subscribers of Stripe Billing become ours: nobody is charged twice, no right is lost, whenever the command is killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

import services.billing.__main__ as command
from services.billing.moving import service as moving
from services.billing.moving.rules import PlanMapError, Reason, Sold
from shared.audit import Actor, acting
from tests.integration.billing.lives import API, DAY, HOUR, Lives
from tests.integration.billing.paying import balances
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, World


@dataclass
class Before:
    """What the agency had at Stripe before it came to us."""

    world: World
    prices: dict[tuple[int, str], str]

    async def ask(self, path: str, **form: Any) -> dict[str, Any]:
        answer = await self.world.payer.post(f"/v1/{path}", data=form, headers=API)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def now(self, path: str) -> dict[str, Any]:
        answer = await self.world.payer.get(f"/v1/{path}", headers=API)
        found: dict[str, Any] = answer.json()
        return found

    async def price(self, amount: int, every: str) -> str:
        if (amount, every) not in self.prices:
            made = await self.ask(
                "prices",
                **{
                    "currency": "vnd",
                    "unit_amount": amount,
                    "recurring[interval]": every,
                    "product_data[name]": "Gói cũ",
                },
            )
            self.prices[amount, every] = made["id"]
        return self.prices[amount, every]

    async def customer(self, email: str, card: str = "pm_card_visa") -> str:
        named = {"email": email} if email else {}
        id_: str = (await self.ask("customers", name="Trần Văn Nam", **named))["id"]
        if card:
            method = await self.ask(f"payment_methods/{card}/attach", customer=id_)
            await self.ask(
                f"customers/{id_}", **{"invoice_settings[default_payment_method]": method["id"]}
            )
        return id_

    async def subscribes(
        self, email: str, amount: int = 59_000, every: str = "month", **more: Any
    ) -> str:
        customer = more.pop("customer", "") or await self.customer(
            email, more.pop("card", "pm_card_visa")
        )
        price = await self.price(amount, every)
        made = await self.ask(
            "subscriptions", customer=customer, **{"items[0][price]": price}, **more
        )
        return str(made["id"])

    def change(self, id_: str, **fields: Any) -> None:
        """What the sandbox has no way to make: an object that reads so."""
        store = self.world.sandbox.state.sandbox.store
        account = store.owner(id_)
        with store.transaction():
            store.save(account, {**store.get(account, id_), **fields})

    async def pass_time(self, by: timedelta) -> None:
        """Stripe's clock and ours move; what is due there happens, then what is due here."""
        await self.world.advance(by)
        await self.due()
        await self.world.deliver()

    async def due(self) -> None:
        answer = await self.world.payer.post(
            "/sandbox/due", json={}, headers={"Sandbox-Control-Token": "control-token"}
        )
        assert answer.status_code == 200, answer.text

    async def moves(
        self, *, agency: str = AGENCY, sold: dict[str, Sold] | None = None, **options: Any
    ) -> moving.Report:
        wanted = self.map() if sold is None else sold
        with acting(Actor.system("test")):
            return await self.world.billing.moving.move(agency, wanted, **options)

    def map(self) -> dict[str, Sold]:
        return {
            id_: Sold("doc-bao", every) for (_, every), id_ in self.prices.items() if every != "day"
        }

    async def taken(self, subscription: str = "") -> int:
        """How often money was taken at the provider, by whomever (of the customer of a subscription, or of all)."""
        found = await Lives(self.world).charges_at_provider()
        if subscription:
            customer = (await self.now(f"subscriptions/{subscription}"))["customer"]
            found = [one for one in found if one["customer"] == customer]
        return sum(one["status"] == "succeeded" for one in found)

    async def end(self, id_: str) -> None:
        """Somebody ends it there, at once."""
        answer = await self.world.payer.delete(f"/v1/subscriptions/{id_}", headers=API)
        assert answer.status_code == 200, answer.text


@pytest.fixture
async def before(world: World) -> AsyncIterator[Before]:
    yield Before(world, {})


async def sound(before: Before) -> None:
    await before.world.assert_sound()


async def test_a_subscriber_goes_on_here_and_is_charged_once_a_period(before: Before) -> None:
    world, lives = before.world, Lives(before.world)
    lan = await before.subscribes("Lan@Example.vn")
    cheap = await before.subscribes("cu@example.vn", 49_000)
    until = world.clock.now() + 30 * DAY
    await before.pass_time(10 * DAY)
    before.change(lan, metadata={"anything": "theirs"})

    dry = await before.moves(dry=True)
    assert (dry.count("moved"), sum(one.own_price for one in dry.outcomes)) == (2, 1)
    assert await world.value("SELECT count(*) FROM reader") == 0, "a dry run changes nothing"
    assert not (await before.now(f"subscriptions/{lan}"))["cancel_at_period_end"]

    report = await before.moves()
    assert report.count("moved") == 2 and not report.unfinished
    assert await lives.rights() == {"lan@example.vn", "cu@example.vn"}
    assert await world.value("SELECT count(*) FROM consent") == 0, "consents are not invented"
    assert await world.value("SELECT count(*) FROM letter") == 0
    assert (await before.now(f"subscriptions/{lan}"))["cancel_at_period_end"]
    row = (await lives.subscriptions("lan@example.vn"))[0]
    assert (row.state, row.period_end, row.mrr_vnd, row.value_vnd) == (
        "active",
        until,
        59_000,
        59_000,
    )
    assert row.mandate_id is not None
    # 20 of 30 days are left, today's among them: the ten before are in the former books.
    left = 59_000 - 59_000 * 10 // 30 + 49_000 - 49_000 * 10 // 30
    assert report.left_vnd == left
    assert (await balances(world))["taken_over"] == left
    moved = await world.rows(
        "SELECT movement, amount_vnd, occurred_on::text FROM mrr_movement ORDER BY 2"
    )
    assert moved == [("new", 49_000, "2026-11-23"), ("new", 59_000, "2026-11-23")]
    await sound(before)

    for undone in ("state = 'begun', subscription_id = NULL", "ends = true", "period_end = now()"):
        with pytest.raises(DBAPIError, match="goes forward"):
            async with world.billing.database.transaction() as session:
                await session.execute(text(f"UPDATE moved_subscription SET {undone}"))
    again = await before.moves()
    assert (again.count("before"), again.count("moved")) == (2, 0)

    await before.pass_time(20 * DAY + 2 * HOUR)
    assert (await before.now(f"subscriptions/{lan}"))["status"] == "canceled"
    assert await before.taken() == 4, "the first period there, the second here"
    charged = await world.rows(
        "SELECT amount_vnd FROM payment WHERE provider = 'stripe' ORDER BY 1"
    )
    assert charged == [(49_000,), (59_000,)], "each at the price they had agreed to"
    assert (await lives.subscriptions("cu@example.vn"))[0].state == "active"
    await world.billing.moving.run_due()
    assert await world.rows("SELECT DISTINCT state FROM moved_subscription") == [("over",)]
    await before.pass_time(31 * DAY)
    assert await before.taken() == 6
    assert await world.value("SELECT count(*) FROM webhook_event WHERE state <> 'handled'") == 0
    assert cheap
    await sound(before)


class Killed(BaseException):
    """The process is gone at this point."""


@asynccontextmanager
async def killed_at(monkeypatch: pytest.MonkeyPatch, point: str) -> AsyncIterator[None]:
    async def fault_point(name: str) -> None:
        if name == point:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(moving, "fault_point", fault_point)
        with pytest.raises(Killed):
            yield


GAPS = ("move.begun", "move.told", "move.before_commit", "move.after_commit")


async def test_killed_between_any_two_steps_it_is_finished_and_charged_once(
    before: Before, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, lives = before.world, Lives(before.world)
    for number, point in enumerate(GAPS):
        id_ = await before.subscribes(f"{number}@example.vn")
        async with killed_at(monkeypatch, point):
            await before.moves()
        told = (await before.now(f"subscriptions/{id_}"))["cancel_at_period_end"]
        ours = await lives.subscriptions(f"{number}@example.vn")
        assert (told, len(ours)) == (number > 0, int(point == "move.after_commit")), point
        if number % 2:
            assert (await before.moves()).count("begun") == 0
        else:  # or nobody runs it again: the worker does it
            await world.advance(timedelta(minutes=11))
            await world.billing.moving.run_due()
        assert len(await lives.subscriptions(f"{number}@example.vn")) == 1, point
    assert await world.value("SELECT count(*) FROM moved_subscription WHERE state = 'moved'") == 4
    await before.pass_time(30 * DAY + 2 * HOUR)
    assert await before.taken() == 8
    assert len(await lives.rights()) == 4
    await sound(before)


async def test_a_period_that_ends_in_the_middle_of_a_move_is_paid_for_once(
    before: Before, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, lives = before.world, Lives(before.world)
    renewed = await before.subscribes("gia-han@example.vn")
    await before.pass_time(29 * DAY)
    async with killed_at(monkeypatch, "move.begun"):
        await before.moves()
    await world.advance(DAY + timedelta(minutes=5))
    # Nobody told it to end: the next period has begun there, its invoice is a draft.
    await before.due()
    waiting = await before.moves()
    assert [(one.what, one.reason) for one in waiting.outcomes] == [("begun", Reason.COLLECTING)]
    assert waiting.unfinished and await lives.subscriptions("gia-han@example.vn") == []
    await world.advance(HOUR)
    await before.due()
    assert await before.taken(renewed) == 2
    await world.billing.moving.run_due()
    row = (await lives.subscriptions("gia-han@example.vn"))[0]
    assert row.period_end == datetime(2027, 1, 23, 3, tzinfo=UTC), "until the end of what is paid"
    await world.deliver()
    assert await before.taken(renewed) == 2, "not charged here for what was paid there"

    ended = await before.subscribes("het@example.vn")
    async with killed_at(monkeypatch, "move.told"):
        await before.moves()
    await before.pass_time(31 * DAY + HOUR)
    assert (await before.now(f"subscriptions/{ended}"))["status"] == "canceled"
    assert (await before.moves()).count("moved") == 1, "within the grace it goes on"
    await world.deliver()
    assert await before.taken(ended) == 2
    assert await lives.rights() == {"gia-han@example.vn", "het@example.vn"}

    late = await before.subscribes("muon@example.vn")
    async with killed_at(monkeypatch, "move.told"):
        await before.moves()
    await before.pass_time(31 * DAY + HOUR)
    await before.pass_time(7 * DAY)
    report = await before.moves()
    assert [(one.what, one.reason) for one in report.outcomes] == [("left", Reason.TOO_LATE)]
    at_once = await before.subscribes("dut@example.vn")
    async with killed_at(monkeypatch, "move.told"):
        await before.moves()
    await before.end(at_once)
    report = await before.moves()
    assert [(one.what, one.reason) for one in report.outcomes] == [("left", Reason.ENDED_AT_ONCE)]
    await world.deliver()
    assert (await before.taken(late), await before.taken(at_once)) == (1, 1)
    assert await world.value("SELECT count(*) FROM subscription") == 2
    await sound(before)


async def test_two_runs_at_once_and_the_worker_move_each_once(before: Before) -> None:
    world, lives = before.world, Lives(before.world)
    for number in range(4):
        await before.subscribes(f"{number}@example.vn", 49_000)
    reports = await asyncio.gather(before.moves(), before.moves(), world.billing.moving.run_due())
    counts = [one.count("moved") for one in reports[:2]]
    assert sum(counts) == 4, reports
    assert await world.value("SELECT count(*) FROM subscription") == 4
    assert await world.value("SELECT count(*) FROM plan_price WHERE amount_vnd = 49000") == 1
    own = await world.value(
        "SELECT superseded_at IS NOT NULL FROM plan_price WHERE amount_vnd = 49000"
    )
    assert own, "nobody else is sold it"
    assert len(await lives.rights()) == 4
    other = await before.moves(agency=OTHER_AGENCY, sold={})
    assert {one.reason for one in other.outcomes} == {Reason.OTHER_AGENCY}
    await sound(before)


async def typed(
    before: Before, agency: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    """What the command prints of a dry run."""

    async def close() -> None:
        return

    parts = SimpleNamespace(moving=before.world.billing.moving, close=close)
    monkeypatch.setattr(command, "build", lambda _: parts)
    await command._move(agency, before.map(), True, False, before.world.billing.process)
    return capsys.readouterr().out.splitlines()


async def test_what_a_person_is_to_look_at_is_not_touched(
    before: Before, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world, lives = before.world, Lives(before.world)
    skipped: dict[str, Reason] = {}
    plain: dict[str, dict[str, Any]] = {
        "TRIALING": {"status": "trialing"},
        "OWING": {"status": "past_due"},
        "BEGUN": {"status": "incomplete"},
        "PAUSED": {"status": "paused"},
        "NOT_COLLECTED": {"pause_collection": {"behavior": "void", "resumes_at": None}},
        "SCHEDULED": {"schedule": "sub_sched_1"},
        "BY_INVOICE": {"collection_method": "send_invoice"},
        "NEEDS_HOLDER": {"pending_setup_intent": "seti_1"},
        "OTHER_SUM": {"discounts": ["di_1"]},
        "OTHER_END": {"cancel_at": 1_900_000_000},
        "OTHER_CURRENCY": {"currency": "usd"},
    }
    for name, fields in plain.items():
        id_ = await before.subscribes(f"{name.lower()}@example.vn")
        before.change(id_, **fields)
        skipped[id_] = Reason[name]
    skipped[await before.subscribes("la@example.vn", every="day")] = Reason.UNKNOWN_PRICE
    skipped[await before.subscribes("")] = Reason.NO_EMAIL
    no_card = await before.customer("khong-the@example.vn", "")
    method = await before.ask("payment_methods/pm_card_visa/attach", customer=no_card)
    id_ = await before.subscribes("", customer=no_card, default_payment_method=method["id"])
    before.change(id_, default_payment_method=None)
    skipped[id_] = Reason.NO_METHOD
    both = await before.customer("hai@example.vn")
    for _ in range(2):
        skipped[await before.subscribes("", customer=both)] = Reason.SEVERAL
    for _ in range(2):
        skipped[await before.subscribes("chung@example.vn")] = Reason.SEVERAL
    await lives.buys("co-roi@example.vn")
    await world.deliver()
    skipped[await before.subscribes("co-roi@example.vn")] = Reason.SUBSCRIBED
    refused = await before.subscribes("the-loi@example.vn", card="pm_card_chargeCustomerFail")
    skipped[refused] = Reason.BEGUN
    readers = await world.value("SELECT count(*) FROM reader")

    report = await before.moves()
    assert {one.external_id: one.reason for one in report.outcomes} == skipped
    assert await world.value("SELECT count(*) FROM moved_subscription") == 0
    assert await world.value("SELECT count(*) FROM reader") == readers
    told = [(await before.now(f"subscriptions/{id_}"))["cancel_at_period_end"] for id_ in skipped]
    assert not any(told)
    assert sum(report.unknown_prices.values()) == 1
    lines = await typed(before, AGENCY, monkeypatch, capsys)
    assert lines[-1].startswith(
        "would be moved 0, of them 0 at a price of their own; moved before 0"
    )
    assert any(
        "not in the plan map: price_" in line and "1 subscriptions" in line for line in lines
    )
    assert not any("@" in line for line in lines), "no address is shown"
    with pytest.raises(typer.Exit) as refused_agency:
        await typed(before, "nobody", monkeypatch, capsys)
    assert refused_agency.value.exit_code == 1
    with pytest.raises(PlanMapError, match="not sold"):
        await before.moves(sold={"price_1": Sold("doc-bao", "quarter")})


async def test_who_does_not_renew_reads_on_and_what_is_renewed_there_after_all_is_seen(
    before: Before,
) -> None:
    world, lives = before.world, Lives(before.world)
    leaving = await before.subscribes("thoi@example.vn")
    await before.ask(f"subscriptions/{leaving}", cancel_at_period_end="true")
    resumed = await before.subscribes("lai@example.vn")
    renewed = await before.subscribes("lo@example.vn")
    assert (await before.moves(tells=True)).count("moved") == 3
    assert await world.value("SELECT count(*) FROM letter WHERE kind = 'moved'") == 3
    assert (await lives.subscriptions("thoi@example.vn"))[0].state == "ending"

    await before.pass_time(29 * DAY)
    await before.ask(f"subscriptions/{resumed}", cancel_at_period_end="false")
    await world.advance(timedelta(hours=23, minutes=35))
    await world.billing.moving.run_due()
    assert (await before.now(f"subscriptions/{resumed}"))["cancel_at_period_end"], "told again"
    await before.ask(f"subscriptions/{renewed}", cancel_at_period_end="false")
    await before.pass_time(timedelta(hours=3))
    await world.billing.moving.run_due()
    assert await before.taken(leaving) == 1 and await before.taken(resumed) == 2
    assert await before.taken(renewed) == 3, "there and here: finance is told"
    found = (await world.billing.exceptions.listing(AGENCY, 10))["moved"]
    assert [one["reference"] for one in found] == [renewed]
    assert await lives.rights() == {"lai@example.vn", "lo@example.vn"}
    await sound(before)
