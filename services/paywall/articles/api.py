"""Routes of the registry: for the website's back end, by service key. Never for browsers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response

from services.paywall.articles.schemas import ID_PATTERN, ArticleIn, ArticleOut
from services.paywall.articles.service import ArticleService
from shared.auth.roles import Scope
from shared.web.known_first import known_first
from shared.web.staff import StaffAccess


def router(service: ArticleService, access: StaffAccess) -> APIRouter:
    async def website(request: Request, agency: str) -> str:
        """The agency, once the key is known to be its own (a dependency: checked before the body)."""
        (await access.key(request)).require(agency, Scope.ARTICLES)
        return agency

    routes = APIRouter(
        prefix="/v1/agencies/{agency}/articles",
        tags=["articles"],
        route_class=known_first(access),
    )

    @routes.put("/{article_id}", status_code=204)
    async def put_article(
        article_id: Annotated[str, Path(pattern=ID_PATTERN)],
        article: ArticleIn,
        agency: str = Depends(website),
    ) -> Response:
        """Register an article, or change what is known about it. Safe to repeat."""
        await service.put(agency, article_id, article)
        return Response(status_code=204)

    @routes.get("")
    async def list_articles(
        after: Annotated[str, Query(max_length=120, pattern=r"^[^\x00]*$")] = "",
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        agency: str = Depends(website),
    ) -> list[ArticleOut]:
        """Registered articles in the order of their ids, from behind ``after``."""
        rows = await service.listed(agency, after=after, limit=limit)
        return [ArticleOut.model_validate(row, from_attributes=True) for row in rows]

    return routes
