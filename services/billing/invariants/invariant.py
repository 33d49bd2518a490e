"""What an invariant is: a statement, and a query that finds what contradicts it. They are gathered in ``catalogue``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from services.billing.ledger import rules as books

#: What a payment belongs to whose entries are asked for: its own, those of its refunds, those of its disputes.
_SOURCES = {
    "payment": "SELECT p.agency, p.reader_id, p.id AS source FROM payment p WHERE {}",
    "refund": "SELECT p.agency, p.reader_id, r.id AS source FROM payment p JOIN refund r ON r.payment_id = p.id WHERE {}",
    "dispute": "SELECT p.agency, p.reader_id, d.id AS source FROM payment p JOIN dispute d ON d.payment_id = p.id WHERE {}",
}

#: Of a payment or a refund ``{}``: through a provider, and not by transfer to the agency's own bank account.
BY_CARD = "{}.provider <> 'transfer'"


class Scope:
    """Which rows a query reads: all of them, or those of the subjects that a reading names.

    Each method gives the condition on a column. What is read of changes is found by an index from the subjects.
    """

    def __init__(self, *, whole: bool) -> None:
        self.whole = whole

    def readers(self, column: str) -> str:
        return self._among(column, "readers")

    def entries(self, column: str) -> str:
        return self._among(column, "entries")

    def shares(self, column: str) -> str:
        """Of payouts."""
        return self._among(column, "shares")

    def credits(self, column: str) -> str:
        """What came into a bank account."""
        return self._among(column, "credits")

    def recognised(self, column: str) -> str:
        """Days of recognition."""
        return self._among(column, "recognised")

    def days(self, row: str) -> str:
        """Days of accounts: ``row`` has agency, account and booked_on."""
        if self.whole:
            return "TRUE"
        return f"""({row}.agency, {row}.account, {row}.booked_on) IN (SELECT * FROM unnest(
            CAST(:day_agencies AS text[]), CAST(:day_accounts AS text[]), CAST(:day_dates AS date[])))"""  # noqa: S608

    def _among(self, column: str, name: str) -> str:
        return "TRUE" if self.whole else f"{column} = ANY (CAST(:{name} AS uuid[]))"


WHOLE, CHANGES = Scope(whole=True), Scope(whole=False)


def booked(of: Scope, accounts: Sequence[str], *sources: str) -> str:
    """A query for lines of accounts: agency, reader_id, vnd (debits positive), by whose payment their entry is of.

    Of changes always from the entries to their lines (OFFSET 0: the planner would rather read all lines of an account that has few).
    """
    names = ", ".join(f"'{account}'" for account in accounts)
    facts = " UNION ALL ".join(_SOURCES[one].format(of.readers("p.reader_id")) for one in sources)
    return f"""SELECT f.agency, f.reader_id, l.amount_vnd AS vnd FROM ({facts}) AS f
        JOIN journal_entry e ON e.source_id = f.source AND e.agency = f.agency
        CROSS JOIN LATERAL (SELECT amount_vnd FROM journal_line WHERE entry_id = e.id AND account IN ({names})
                            {"" if of.whole else "OFFSET 0"}) AS l"""  # noqa: S608 - constants of ours


def balance(account: str) -> str:
    """A query for what an account stands at, debits positive: id (an agency), amount."""
    return f"""SELECT a.id, coalesce(sum(d.debit_vnd - d.credit_vnd), 0) AS amount FROM agency a
        LEFT JOIN account_day d ON d.agency = a.id AND d.account = '{account}' GROUP BY a.id"""  # noqa: S608


class Invariant(ABC):
    """A statement about the database, and a query that finds what contradicts it.

    The query gives rows of agency ('' where there is none), subject and violations (a count, or đồng that are off; never 0).
    A subject is what a reading of changes can read again by itself: a reader mostly; '' is the agency as a whole.
    """

    name: ClassVar[str]
    statement: ClassVar[str]
    #: So few rows are looked at (by an index, or one an agency) that each reading is of all of them.
    always_whole: ClassVar[bool] = False
    #: Read of everything only: what the sum of an agency must be, whatever it is made of. Rows as above, with subject ''.
    sums: ClassVar[str] = ""

    @abstractmethod
    def sql(self, of: Scope) -> str:
        """The query, for what ``of`` says."""


DEFERRED = tuple(accounts.deferred for accounts in books.STREAMS.values() if accounts.deferred)
