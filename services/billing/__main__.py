"""``python -m services.billing web|worker|migrate|seed|webhooks|letters|bank-account|bank-accounts|move-stripe-subscribers|demo-groups``."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from services.billing.app import web
from services.billing.composition import build
from services.billing.demo_groups import run as demo_groups
from services.billing.moving.rules import PlanMapError, Sold, read_plan_map
from services.billing.moving.service import Outcome, Report
from services.billing.payments.adapters.port import ProviderRefusedError, ProviderUnavailableError
from services.billing.process import BILLING
from services.billing.seed import run as seed
from services.billing.set_up import take_in
from services.billing.settings import BillingSettings
from services.billing.transfers.models import MAX_HOLDER, MAX_NUMBER
from services.billing.transfers.values import account_number
from services.billing.transfers.vietqr import BANKS
from services.billing.worker import worker
from shared.agencies import get_agency
from shared.audit.commands import By
from shared.cli import run_command, service_cli
from shared.errors import NotFoundError
from shared.process import Process
from shared.startup import Duty

#: After how many subscriptions a line of progress is shown.
MOVED_A_LINE = 50

app = service_cli(BILLING, web=web, worker=worker, seed=seed, take_in=take_in, publishes=True)
webhooks = typer.Typer(
    help="The inbox of notifications from payment providers.", no_args_is_help=True
)
app.add_typer(webhooks, name="webhooks")
letters = typer.Typer(help="What readers are told by mail.", no_args_is_help=True)
app.add_typer(letters, name="letters")


@webhooks.command("list")
def list_command(
    state: Annotated[str, typer.Option(help="waiting, handled, parked, or all")] = "parked",
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
) -> None:
    """Show events of the inbox, parked ones by default."""
    run_command(
        BILLING, "webhooks", Duty.COMMAND, partial(_list, None if state == "all" else state, limit)
    )


@webhooks.command("replay")
def replay_command(
    event: Annotated[list[str] | None, typer.Argument(help="Event ids")] = None,
    all_parked: Annotated[bool, typer.Option("--all", help="Every parked event")] = False,
    by: By = "",
) -> None:
    """Give parked events another round of tries, once the cause is mended."""
    if not event and not all_parked:
        raise typer.BadParameter("name the events, or say --all")
    run_command(BILLING, "webhooks-replay", Duty.COMMAND, partial(_replay, event or None), by=by)


@letters.command("list")
def list_letters(
    state: Annotated[
        str, typer.Option(help="waiting, sent, given_up, dropped, or all")
    ] = "given_up",
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
) -> None:
    """Show letters, by default those that nobody took. No address is shown."""
    run_command(
        BILLING,
        "letters",
        Duty.COMMAND,
        partial(_letters, None if state == "all" else state, limit),
    )


Ids = Annotated[list[UUID] | None, typer.Argument(help="Letters' ids")]
AllGivenUp = Annotated[bool, typer.Option("--all", help="Every letter that was given up")]


@letters.command("retry")
def retry_letters(letter: Ids = None, all_given_up: AllGivenUp = False, by: By = "") -> None:
    """Send letters that were given up after all, once the cause is mended."""
    _settle(letter, all_given_up, by, again=True)


@letters.command("drop")
def drop_letters(letter: Ids = None, all_given_up: AllGivenUp = False, by: By = "") -> None:
    """Let letters go that nobody takes, such as those to a mailbox that is no more."""
    _settle(letter, all_given_up, by, again=False)


def _settle(letters_: list[UUID] | None, every: bool, by: str, *, again: bool) -> None:
    if not letters_ and not every:
        raise typer.BadParameter("name the letters, or say --all")
    work = partial(_settled, None if every else letters_, again)
    run_command(BILLING, "letters-settle", Duty.COMMAND, work, by=by)


async def _letters(state: str | None, limit: int, process: Process[BillingSettings]) -> None:
    billing = build(process)
    try:
        found = await billing.letters.listing(state, limit)
    finally:
        await billing.close()
    for one in found:
        typer.echo(
            f"{one.id}  {one.created_at:%Y-%m-%d %H:%M:%S}  {one.agency}  {one.kind}  {one.state}  "
            f"tries {one.attempts}  {one.error}"
        )
    typer.echo(f"{len(found)} letters")


async def _settled(ids: list[UUID] | None, again: bool, process: Process[BillingSettings]) -> None:
    billing = build(process)
    try:
        count = await billing.letters.settle_given_up(ids, again=again)
    finally:
        await billing.close()
    typer.echo(f"{'to be sent again' if again else 'let go'}: {count}")


@app.command("bank-account")
def bank_account_command(
    agency: Annotated[str, typer.Argument(help="The agency's id")],
    bank: Annotated[str, typer.Option(help="The bank's six figures of VietQR (BIN)")],
    number: Annotated[str, typer.Option(help="The account's number")],
    holder: Annotated[str, typer.Option(help="The holder's name, as the bank prints it")],
    by: By = "",
) -> None:
    """Enter the bank account that an agency's readers transfer to from now on. Earlier ones are listened to as before."""
    if re.fullmatch("[0-9]{6}", bank) is None:
        raise typer.BadParameter("six figures, as 970436", param_hint="--bank")
    plain = (account_number(number) or "").upper()
    if not 1 <= len(plain) <= MAX_NUMBER:
        raise typer.BadParameter(f"1 to {MAX_NUMBER} letters or figures", param_hint="--number")
    name = " ".join(holder.upper().split())
    if not name or len(name) > MAX_HOLDER or not name.isprintable():
        raise typer.BadParameter(f"1 to {MAX_HOLDER} characters", param_hint="--holder")
    if bank not in BANKS:
        typer.echo(f"{bank} is no bank that is known here: compare it with the bank's", err=True)
    save = partial(_save_account, agency, plain, bank, name)
    run_command(BILLING, "bank-account", Duty.COMMAND, save, by=by)


@app.command("bank-accounts")
def bank_accounts_command(
    agency: Annotated[str, typer.Argument(help="The agency's id")],
) -> None:
    """List an agency's bank accounts, the one that readers are shown first."""
    run_command(BILLING, "bank-accounts", Duty.COMMAND, partial(_accounts, agency))


@app.command("move-stripe-subscribers")
def move_command(
    agency: Annotated[str, typer.Option(help="The agency's id")],
    plan_map: Annotated[
        Path | None, typer.Option(help="TOML: what each price of Stripe's is here")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Say what would be done, and do nothing")] = False,
    letter: Annotated[
        bool, typer.Option(help="Tell each reader by mail that nothing changes for them")
    ] = False,
    by: By = "",
) -> None:
    """Take over subscriptions of Stripe Billing: their next period is collected here, once. Safe to repeat and to interrupt."""
    try:
        sold = read_plan_map(plan_map.read_text(encoding="utf-8")) if plan_map else {}
    except (OSError, UnicodeDecodeError, PlanMapError) as error:
        raise typer.BadParameter(str(error), param_hint="--plan-map") from None
    work = partial(_move, agency, sold, dry_run, letter)
    run_command(BILLING, "move-stripe-subscribers", Duty.COMMAND, work, by=by)


async def _move(
    agency: str,
    sold: dict[str, Sold],
    dry: bool,
    tells: bool,
    process: Process[BillingSettings],
) -> None:
    billing = build(process)
    heard = 0

    def told(outcome: Outcome) -> None:
        nonlocal heard
        heard += 1
        if outcome.reason is not None:
            reason = f"{outcome.reason.name.lower()}: {outcome.reason.value}"
            typer.echo(f"{outcome.external_id}  {outcome.customer}  {outcome.what}  {reason}")
        if heard % MOVED_A_LINE == 0:
            typer.echo(f"{heard} looked at", err=True)

    try:
        report = await billing.moving.move(agency, sold, dry=dry, tells=tells, told=told)
    except NotFoundError:
        typer.echo(f"{agency} is no agency", err=True)
        raise typer.Exit(1) from None
    except (PlanMapError, ProviderRefusedError, ProviderUnavailableError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    finally:
        await billing.close()
    _show_moved(report, dry)
    if report.unfinished:
        raise typer.Exit(1)


def _show_moved(report: Report, dry: bool) -> None:
    for (price, period, amount, currency), count in sorted(report.unknown_prices.items()):
        typer.echo(
            f'not in the plan map: {price} = "…/{period or "?"}"  {amount} {currency}, {count} subscriptions'
        )
    own = sum(one.own_price for one in report.outcomes)
    typer.echo(
        f"{'would be moved' if dry else 'moved'} {report.count('moved')}, of them {own} at a price of their own; "
        f"moved before {report.count('before')}; skipped {report.count('skipped')}; "
        f"begun and to be run again {report.count('begun')}; left to a person {report.count('left')}"
    )
    if report.left_vnd:
        typer.echo(f"deferred revenue taken over: {report.left_vnd} đồng, as of today")


@app.command("demo-groups")
def demo_groups_command() -> None:
    """Make a family and a school with their readers, never where it is deployed. Safe to repeat."""
    run_command(BILLING, "demo-groups", Duty.SETUP, demo_groups)


async def _save_account(
    agency: str, number: str, bank: str, holder: str, process: Process[BillingSettings]
) -> None:
    billing = build(process)
    try:
        await billing.transfers.save_account(agency, number, bank, holder)
    except NotFoundError:
        typer.echo(f"{agency} is no agency", err=True)
        raise typer.Exit(1) from None
    finally:
        await billing.close()
    typer.echo(f"{agency}: readers transfer to {number} ({BANKS.get(bank, bank)}, {holder})")


async def _accounts(agency: str, process: Process[BillingSettings]) -> None:
    billing = build(process)
    try:
        async with billing.database.read() as session:
            await get_agency(session, agency)
        accounts = await billing.transfers.accounts(agency)
    except NotFoundError:
        typer.echo(f"{agency} is no agency", err=True)
        raise typer.Exit(1) from None
    finally:
        await billing.close()
    for place, one in enumerate(accounts):
        bank = BANKS.get(one.bank_bin, "?")
        shown = "  shown to readers" if place == 0 else ""
        typer.echo(f"{one.number}  {one.bank_bin} {bank}  {one.holder}{shown}")
    typer.echo(f"{len(accounts)} accounts")


async def _list(state: str | None, limit: int, process: Process[BillingSettings]) -> None:
    billing = build(process)
    try:
        events = await billing.webhooks.listing(state, limit)
    finally:
        await billing.close()
    for one in events:
        typer.echo(
            f"{one.event_id}  {one.received_at:%Y-%m-%d %H:%M:%S}  {one.type}  {one.state}  "
            f"tries {one.attempts}  {one.error}"
        )
    typer.echo(f"{len(events)} events")


async def _replay(events: list[str] | None, process: Process[BillingSettings]) -> None:
    billing = build(process)
    try:
        replayed = await billing.webhooks.replay(events)
    finally:
        await billing.close()
    typer.echo(f"replayed {len(replayed)}")


if __name__ == "__main__":
    app()
