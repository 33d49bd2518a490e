"""Use cases of the registry, and each web process's copy of it."""

from __future__ import annotations

from collections.abc import Iterable

from services.paywall.articles import repository
from services.paywall.articles.models import ArticleRow
from services.paywall.articles.schemas import ArticleIn
from shared.database import Database


class ArticleMemory:
    """What every article's access is, without a query. Kept fresh by ``Refresher``."""

    def __init__(self) -> None:
        self._access: dict[tuple[str, str], str] = {}

    def access(self, agency: str, article_id: str) -> str | None:
        return self._access.get((agency, article_id))

    def replace(self, rows: Iterable[tuple[str, str, str]]) -> None:
        self._access = {(agency, id_): access for agency, id_, access in rows}

    def update(self, rows: Iterable[tuple[str, str, str]]) -> None:
        for agency, id_, access in rows:
            self._access[agency, id_] = access

    def __len__(self) -> int:
        return len(self._access)


class ArticleService:
    """The registry behind the API."""

    def __init__(self, database: Database, memory: ArticleMemory) -> None:
        self._database = database
        self._memory = memory

    async def put(self, agency: str, article_id: str, article: ArticleIn) -> None:
        """Register or change an article. It counts in every process a moment after the commit."""
        async with self._database.transaction() as session:
            await repository.put(
                session,
                agency=agency,
                id_=article_id,
                title=article.title,
                url=article.url,
                section=article.section,
                tags=article.tags,
                access=article.access,
                published_at=article.published_at,
            )
        # This process knows at once: the website may ask for a decision right after registering.
        self._memory.update([(agency, article_id, article.access)])

    async def listed(self, agency: str, *, after: str, limit: int) -> list[ArticleRow]:
        async with self._database.read() as session:
            return await repository.listed(session, agency, after=after, limit=limit)
