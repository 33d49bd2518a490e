"""Every SQL statement about invoices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import select, text

from services.billing.invoices.models import Invoice, InvoiceLine
from shared.database import ReadSession, Session

#: Its number is given by the trigger, which is reached only where the payment has no invoice yet: none is spent in vain.
_INSERT = text(
    """INSERT INTO invoice (id, agency, series, payment_id, reader_id, issued_at, issued_on, paid_on, seller_name,
                            buyer_name, buyer_email, language, currency, net_vnd, vat_vnd, gross_vnd)
       SELECT :id, :agency, :series, :payment_id, :reader_id, :issued_at, CAST(:issued_on AS date), CAST(:paid_on AS date),
              :seller_name, :buyer_name, :buyer_email, :language, :currency, CAST(:net_vnd AS bigint),
              CAST(:vat_vnd AS bigint), CAST(:gross_vnd AS bigint)
       WHERE NOT EXISTS (SELECT FROM invoice WHERE payment_id = :payment_id)
       RETURNING number, document"""
)
#: The columns of an invoice that is not numbered yet, and the types of their arrays.
_HEAD = {
    "id": "uuid",
    "agency": "text",
    "series": "text",
    "payment_id": "uuid",
    "reader_id": "uuid",
    "issued_at": "timestamptz",
    "issued_on": "date",
    "paid_on": "date",
    "seller_name": "text",
    "buyer_name": "text",
    "buyer_email": "text",
    "language": "text",
    "currency": "text",
    "net_vnd": "bigint",
    "vat_vnd": "bigint",
    "gross_vnd": "bigint",
}
#: Of many payments that have none: numbered in the order in which they are given.
_INSERT_MANY = f"""INSERT INTO invoice ({", ".join(_HEAD)}, number)
    SELECT {", ".join(f"i.{name}" for name in _HEAD)},
           coalesce(s.last_number, 0) + row_number() OVER (PARTITION BY i.agency, i.series ORDER BY i.n)
    FROM unnest({", ".join(f"${n}::{kind}[]" for n, kind in enumerate(_HEAD.values(), 1))})
         WITH ORDINALITY AS i({", ".join(_HEAD)}, n)
    LEFT JOIN invoice_series s ON s.agency = i.agency AND s.series = i.series
    RETURNING id, document"""  # noqa: S608 - constants of ours
#: The column of a line and the type of its array: all lines come in one statement.
_LINE = {
    "description_vi": "text",
    "description_en": "text",
    "quantity": "integer",
    "unit_gross_vnd": "bigint",
    "net_vnd": "bigint",
    "vat_vnd": "bigint",
    "gross_vnd": "bigint",
    "vat_treatment": "text",
    "vat_basis_points": "integer",
    "period_from": "date",
    "period_until": "date",
}
_INSERT_LINES = text(
    f"""INSERT INTO invoice_line (invoice_id, {", ".join(_LINE)}, line_no)
        SELECT :invoice_id, l.* FROM unnest({", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in _LINE.items())})
            WITH ORDINALITY AS l"""  # noqa: S608 - constants of ours
)
_INSERT_LINES_MANY = f"""INSERT INTO invoice_line (invoice_id, line_no, {", ".join(_LINE)})
    SELECT * FROM unnest($1::uuid[], $2::integer[],
                         {", ".join(f"${n}::{kind}[]" for n, kind in enumerate(_LINE.values(), 3))})"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of an agency's invoices: days they were issued on, both included; part of a number or of an email."""

    first: date
    last: date
    words: str = ""


async def insert(session: Session, values: dict[str, Any]) -> tuple[int, str] | None:
    """The number and how it is shown; ``None`` when the payment has an invoice already (and nothing was done).

    From here to COMMIT nobody else issues in the series.
    """
    row = (await session.execute(_INSERT, values)).one_or_none()
    return None if row is None else (row.number, row.document)


async def insert_lines(session: Session, invoice_id: UUID, lines: Sequence[dict[str, Any]]) -> None:
    columns = {name: [line[name] for line in lines] for name in _LINE}
    await session.execute(_INSERT_LINES, {"invoice_id": invoice_id, **columns})


async def insert_many(
    connection: asyncpg.Connection,
    invoices: Sequence[tuple[dict[str, Any], Sequence[dict[str, Any]]]],
) -> dict[UUID, str]:
    """Invoices with their lines, of payments that have none; how each one's number is shown, by its id.

    From here to COMMIT nobody else issues in their series; the caller holds the books of their agencies.
    """
    heads = [[head[name] for head, _ in invoices] for name in _HEAD]
    numbered = {row[0]: row[1] for row in await connection.fetch(_INSERT_MANY, *heads)}
    lines = [
        (head["id"], number, *(line[name] for name in _LINE))
        for head, own in invoices
        for number, line in enumerate(own, 1)
    ]
    await connection.execute(_INSERT_LINES_MANY, *zip(*lines, strict=True))
    return numbered


async def of_payments(
    session: Session | ReadSession, payment_ids: Sequence[UUID]
) -> Sequence[Invoice]:
    return (
        await session.scalars(
            select(Invoice).where(Invoice.payment_id.in_(payment_ids))  # type: ignore[attr-defined]
        )
    ).all()


async def one(session: Session | ReadSession, agency: str, id_: UUID) -> Invoice | None:
    found: Invoice | None = await session.scalar(
        select(Invoice).where(Invoice.id == id_, Invoice.agency == agency)  # type: ignore[arg-type]
    )
    return found


async def lines(session: Session | ReadSession, invoice_id: UUID) -> Sequence[InvoiceLine]:
    return (
        await session.scalars(
            select(InvoiceLine)
            .where(InvoiceLine.invoice_id == invoice_id)  # type: ignore[arg-type]
            .order_by(InvoiceLine.line_no)  # type: ignore[arg-type]
        )
    ).all()


_MATCHES = """agency = :agency AND issued_on BETWEEN :first AND :last
    AND (CAST(:words AS text) = '' OR document ILIKE CAST(:pattern AS text) OR buyer_email ILIKE CAST(:pattern AS text))"""
_PAGE = text(
    f"""SELECT i.id, i.document, i.number, i.issued_on, i.paid_on, i.buyer_name, i.buyer_email, i.currency, i.net_vnd,
               i.vat_vnd, i.gross_vnd,
               (SELECT array_agg(DISTINCT l.vat_basis_points ORDER BY l.vat_basis_points NULLS FIRST)
                FROM invoice_line l WHERE l.invoice_id = i.id) AS rates
        FROM invoice i WHERE {_MATCHES}
          AND (CAST(:after_on AS date) IS NULL
               OR (issued_on, number) < (CAST(:after_on AS date), CAST(:after_number AS integer)))
        ORDER BY issued_on DESC, number DESC LIMIT :limit"""  # noqa: S608 - a constant of ours
)
_COUNT = text(f"SELECT count(*) FROM invoice WHERE {_MATCHES}")  # noqa: S608 - a constant of ours


def _parameters(agency: str, wanted: Wanted) -> dict[str, Any]:
    escaped = wanted.words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return {
        "agency": agency,
        "first": wanted.first,
        "last": wanted.last,
        "words": wanted.words,
        "pattern": f"%{escaped}%",
    }


async def page(
    session: Session | ReadSession,
    agency: str,
    wanted: Wanted,
    *,
    limit: int,
    after: tuple[date, int] | None = None,
) -> list[dict[str, Any]]:
    """Invoices that match, the newest first; those older than ``after`` (day and number). ``rates``: of their lines, in
    basis points, None for exempt."""
    after_on, after_number = after or (None, None)
    rows = await session.execute(
        _PAGE,
        {
            **_parameters(agency, wanted),
            "after_on": after_on,
            "after_number": after_number,
            "limit": limit,
        },
    )
    return [dict(row) for row in rows.mappings()]


async def count(session: Session | ReadSession, agency: str, wanted: Wanted) -> int:
    return int(await session.scalar(_COUNT, _parameters(agency, wanted)) or 0)
