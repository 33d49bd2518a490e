"""``/dev/mail``: what mail would have been sent. Never in production."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from shared.database import Database
from shared.errors import NotFoundError
from shared.mail.outbox import html_of, recent_mail
from shared.web.pages import Pages

#: A message as HTML stands alone: in a sandbox (an origin of its own, no script, no form), with its inline styles only.
HTML_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"


def outbox_router(pages: Pages, database: Database) -> APIRouter:
    """The composition root includes it where ``MailSettings.shows_mail`` says so, and nowhere else."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/dev/mail")
    async def mail(request: Request) -> Response:
        return pages.render(request, "dev_mail.html", messages=await recent_mail(database))

    @routes.get("/dev/mail/{message}")
    async def message_as_html(message: str) -> Response:
        try:
            html = await html_of(database, UUID(message))
        except ValueError:
            raise NotFoundError from None
        if not html:
            raise NotFoundError
        return HTMLResponse(html, headers={"Content-Security-Policy": HTML_POLICY})

    return routes
