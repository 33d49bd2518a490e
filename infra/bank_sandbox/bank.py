"""The bank's books: transfers that came in, balances and statements."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from infra.stripe_sandbox.outbox import Outbox
from infra.stripe_sandbox.scope import Clock
from infra.stripe_sandbox.store import Doc, Store

from .accounts import Account, load_accounts
from .notes import PAYER_ACCOUNT, as_written, mangled, plain
from .settings import BankSettings

KIND = "bank.transaction"
VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
MOST = 1_000_000_000_000
LONGEST_NOTE = 210
LONGEST_PAYER = 70
NUMBERS_SINCE = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp())


class RefusedTransferError(ValueError):
    """The bank does not take this transfer. The message is the word that says why."""


class Bank:
    """Every account of the file, and what came in."""

    def __init__(self, settings: BankSettings, store: Store, clock: Clock) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock
        self.outbox = Outbox(store, settings, "bank")
        self.accounts = load_accounts(settings.accounts_file)
        self.agencies = tuple(dict.fromkeys(one.agency for one in self.accounts))

    # -- who ------------------------------------------------------------------------------------

    def account(self, number: str, digits: str | None = None) -> Account | None:
        """The account of this number, at this bank where one is named."""
        for one in self.accounts:
            if one.number == number and digits in (None, one.bin):
                return one
        return None

    def balance(self, account: Account) -> int:
        """What has come in so far, in đồng: accounts begin empty."""
        last = self._of(account, limit=1)
        return int(last[0]["balance"]) if last else 0

    # -- transfers ------------------------------------------------------------------------------

    def transfer(
        self,
        *,
        account: str,
        bin: str | None,
        amount: int,
        note: str,
        payer: str,
        at: datetime | None = None,
    ) -> Doc:
        """Take money in and line the notice up, as the switches say.

        Args:
            at: when the bank books it; now unless told otherwise.

        Raises:
            RefusedTransferError: no such account, or an amount, note or name that no bank takes.
        """
        to = self.account(account, bin)
        if to is None:
            raise RefusedTransferError("no_account")
        if not 0 < amount <= MOST:
            raise RefusedTransferError("bad_amount")
        if len(note) > LONGEST_NOTE:
            raise RefusedTransferError("long_note")
        if not plain(payer) or len(payer) > LONGEST_PAYER:
            raise RefusedTransferError("bad_payer")
        with self.store.transaction():
            made = self._made(to, amount, note, payer, at)
            self.store.save(_books_of(to.agency), made)
            if self.tells(made):
                self.outbox.add(_books_of(to.agency), made["id"], self.clock())
        return made

    def _made(self, to: Account, amount: int, note: str, payer: str, at: datetime | None) -> Doc:
        now = self.clock()
        booked = at or datetime.fromtimestamp(now, UTC)
        trace = _digits(10)
        return {
            "id": f"banktx_{secrets.token_hex(12)}",
            "object": KIND,
            "created": int(now),
            "number": self._next_number(now),
            "reference": f"FT{booked.astimezone(VIETNAM):%y%j}{_digits(8)}",
            "agency": to.agency,
            "bin": to.bin,
            "bank": to.bank,
            "account": to.number,
            "holder": to.holder,
            "amount": amount,
            "balance": self.balance(to) + amount,
            "note": note,
            "content": (
                mangled(note, payer, f"{to.number} {to.holder}", trace)
                if self.settings.mangle
                else as_written(note, payer)
            ),
            "payer": plain(payer),
            "payer_account": PAYER_ACCOUNT,
            "booked_at": booked.astimezone(VIETNAM).replace(microsecond=0).isoformat(),
            "shape": self.settings.shape,
        }

    def _next_number(self, now: float) -> int:
        """Grows with time, so that a sandbox that lost its file gives no number twice."""
        last = max((one["number"] for one in self.transactions(limit=1)), default=0)
        return max(int(last) + 1, int(now) - NUMBERS_SINCE, 1)

    # -- telling --------------------------------------------------------------------------------

    def tells(self, transaction: Doc) -> bool:
        """Whether somebody is told of it: an address and a secret of its kind are there."""
        secret = self.settings.secret(transaction["agency"], transaction["shape"])
        return bool(self.settings.billing_url and secret)

    def resend(self, transaction: Doc) -> None:
        """One more copy of the notice at once, whatever the switches say."""
        with self.store.transaction():
            self.outbox.resend(_books_of(transaction["agency"]), transaction["id"], self.clock())

    def switches(self) -> dict[str, Any]:
        """As they stand."""
        settings = self.settings
        return {
            "delay_seconds": settings.webhook_delay_seconds,
            "duplicates": settings.webhook_duplicates,
            "reorder": settings.webhook_reorder,
            "drop": settings.webhook_drop,
            "mangle": settings.mangle,
            "shape": settings.shape,
        }

    # -- reading --------------------------------------------------------------------------------

    def transaction(self, identifier: str) -> Doc | None:
        """One transaction by its id."""
        for agency in self.agencies:
            found = self.store.get(_books_of(agency), identifier)
            if found is not None and found["object"] == KIND:
                return found
        return None

    def transactions(self, account: Account | None = None, limit: int = -1) -> list[Doc]:
        """What came in, newest first."""
        if account is not None:
            return self._of(account, limit=limit)
        found = [
            one
            for agency in self.agencies
            for one in self.store.select(_books_of(agency), KIND, limit=limit)
        ]
        found.sort(key=lambda one: one["number"], reverse=True)
        return found if limit < 0 else found[:limit]

    def shown(self, transaction: Doc) -> Doc:
        """A transaction with its deliveries, newest first."""
        return {**transaction, "deliveries": self.outbox.of(transaction["id"])}

    def _of(self, account: Account, limit: int) -> list[Doc]:
        only = [("bin", "=", account.bin), ("account", "=", account.number)]
        return self.store.select(_books_of(account.agency), KIND, only, limit=limit)

    def statement(self, account: Account) -> Iterator[tuple[str, ...]]:
        """The rows of an account's statement, oldest first, below its headings."""
        yield ("Ngày giao dịch", "Số tham chiếu", "Ghi nợ", "Ghi có", "Số dư", "Nội dung")
        for one in reversed(self._of(account, limit=-1)):
            yield (
                local_time(one),
                one["reference"],
                "",
                grouped(one["amount"]),
                grouped(one["balance"]),
                one["content"],
            )


def local_time(transaction: Doc) -> str:
    """``31/12/2026 23:59:59``, in Vietnam."""
    return f"{datetime.fromisoformat(transaction['booked_at']):%d/%m/%Y %H:%M:%S}"


def grouped(amount: int) -> str:
    """``1234567`` to ``1.234.567``."""
    return f"{amount:,}".replace(",", ".")


def _books_of(agency: str) -> str:
    """The store's name for an agency's documents; no Stripe account has such a name."""
    return f"bank/{agency}"


def _digits(count: int) -> str:
    return "".join(secrets.choice("0123456789") for _ in range(count))
