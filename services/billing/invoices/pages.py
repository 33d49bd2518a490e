"""``/r/{agency}/invoices/{id}.pdf``: the reader's own invoice."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.billing.invoices.pdf import InvoicePrinter
from services.billing.readers.web import ReaderFront
from shared.errors import NotFoundError
from shared.web.i18n import LANGUAGES


def language_of(request: Request, own: str) -> str:
    """What ``?lang=`` asks for, else the invoice's ``own``."""
    asked = request.query_params.get("lang", "")
    return asked if asked in LANGUAGES else own


def invoice_id_of(name: str) -> UUID:
    """Raises :class:`NotFoundError` for what is no id."""
    try:
        return UUID(name)
    except ValueError:
        raise NotFoundError from None


def router(front: ReaderFront, printer: InvoicePrinter) -> APIRouter:
    routes = APIRouter(include_in_schema=False)

    @routes.get("/r/{agency}/invoices/{invoice}.pdf")
    async def paper(request: Request, agency: str, invoice: str) -> Response:
        await front.enter(request, agency)
        found = await front.reader(request, agency)
        if found is None:
            return front.to_sign_in(agency, f"/r/{agency}/invoices/{invoice_id_of(invoice)}.pdf")
        shown, lines = await front.billing.invoices.with_lines(
            agency, invoice_id_of(invoice), reader_id=found[1].id
        )
        return await printer.answer(shown, lines, language_of(request, shown.language))

    return routes
