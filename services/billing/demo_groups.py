"""``python -m services.billing demo-groups``: a family and a school with their readers, for a machine to try things on. Safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import typer

from services.billing.composition import Billing, build
from services.billing.readers import repository as readers
from services.billing.readers.models import Reader
from services.billing.settings import BillingSettings
from services.billing.transfers.facts import CreditNotice
from shared.ids import new_id
from shared.mail import Mail
from shared.process import Process

AGENCY = "bao-hung-yen"
#: What the school asks its staff for; nobody comes from there on a machine to try things on.
NETWORK = "113.160.1.7/32"


@dataclass(frozen=True, slots=True)
class Example:
    """A group: who pays for how many, who was invited and came, who was invited, and who joined by the owner's mail domain."""

    owner: str
    plan: str
    seats: int | None
    members: tuple[str, ...]
    invited: tuple[str, ...]
    by_domain: tuple[str, ...] = ()


EXAMPLES = (
    Example(
        "bo.gia-dinh@example.vn",
        "gia-dinh",
        None,
        ("me.gia-dinh@example.vn", "con.gia-dinh@example.vn"),
        ("ba.gia-dinh@example.vn",),
    ),
    Example(
        "van-phong@truong-hung-yen.example.vn",
        "to-chuc",
        8,
        ("cong-tac-vien@example.vn",),
        (),
        ("giao-vien-an@truong-hung-yen.example.vn", "giao-vien-binh@truong-hung-yen.example.vn"),
    ),
)


async def load(billing: Billing) -> None:
    """The groups that are not there yet, each paid for a year by bank transfer."""
    for example in EXAMPLES:
        owner = await _reader(billing, example.owner)
        if await billing.seats.groups(owner):
            continue
        await _pay(billing, owner, example)
        group = (await billing.seats.groups(owner))[0].row.id
        for email in (*example.members, *example.invited):
            invitation = await billing.seats.invite(owner, group, email)
            if email in example.members:
                await billing.seats.accept(await _reader(billing, email), invitation.id)
        if example.by_domain:
            await _verify(billing, owner, group)
            await billing.networks.ask(owner, group, NETWORK, NETWORK.removesuffix("/32"))
        for email in example.by_domain:
            await billing.seats.join(await _reader(billing, email), group)


async def _reader(billing: Billing, email: str) -> Reader:
    async with billing.database.transaction() as session:
        now = billing.clock.now()
        return await readers.reader_by_email(session, new_id(), AGENCY, email, "vi", now)


async def _pay(billing: Billing, owner: Reader, example: Example) -> None:
    offers = await billing.plans.offers(AGENCY)
    offer = next(one for one in offers if (one.plan_code, one.period) == (example.plan, "year"))
    order = await billing.orders.start(owner, offer.price_id, "", "vi", seats=example.seats)
    account = (await billing.transfers.accounts(AGENCY))[0]
    notice = CreditNotice(
        account.number,
        f"demo-{order.code}",
        f"DEMO{order.code}",
        order.amount_vnd,
        order.code,
        "",
        billing.clock.now(),
    )
    async with billing.database.transaction() as session:
        await billing.transfers.take(session, AGENCY, "statement", notice)


async def _verify(billing: Billing, owner: Reader, group: UUID) -> None:
    """The domain of the owner's address, by the code that is sent there."""
    sent: list[str] = []

    def letter(address: str, code: str) -> Mail:
        sent.append(code)
        return Mail(address, code, code)

    await billing.seat_domains.ask(owner, group, owner.email, letter)
    assert await billing.seat_domains.verify(owner, group, sent[-1])


async def run(process: Process[BillingSettings]) -> None:
    """Never where readers are real."""
    if process.settings.deployed:
        typer.echo("billing: example readers are never made where it is deployed", err=True)
        raise typer.Exit(1)
    billing = build(process)
    try:
        await load(billing)
    finally:
        await billing.close()
    typer.echo(f"billing: {len(EXAMPLES)} groups of readers at {AGENCY}")
