"""``/dev/mail``: what mail would have been sent. Never in production."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from shared.database import Database
from shared.mail.outbox import recent_mail
from shared.web.pages import Pages


def outbox_router(pages: Pages, database: Database) -> APIRouter:
    """The composition root includes it where ``MailSettings.shows_mail`` says so, and nowhere else."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/dev/mail")
    async def mail(request: Request) -> Response:
        return pages.render(request, "dev_mail.html", messages=await recent_mail(database))

    return routes
