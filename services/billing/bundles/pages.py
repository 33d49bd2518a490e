"""``POST /r/{agency}/bundles/use``: the same press on billing's own page of plans, and back to the article."""

from __future__ import annotations

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.billing.readers.web import ReaderFront, see_other, with_return
from shared.contracts.articles import article_id
from shared.errors import ConflictError, NotFoundError


def router(front: ReaderFront) -> APIRouter:
    routes = APIRouter(include_in_schema=False)

    @routes.post("/r/{agency}/bundles/use")
    async def use(
        request: Request, agency: str, article: str = Form(""), return_to: str = Form("")
    ) -> Response:
        acting = await front.acting(request, agency)
        if isinstance(acting, Response):
            return acting
        place, named = await front.enter(request, agency), article_id(article)
        if not named:
            raise NotFoundError
        back = place.back(return_to)
        try:
            await front.billing.bundles.use(acting[1], named)
        except ConflictError:  # the last one was used in another window
            return see_other(f"/r/{agency}/account?notice=no-uses-left&{with_return(back)}")
        return see_other(back or f"/r/{agency}/account?notice=article-open")

    return routes
