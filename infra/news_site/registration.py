"""Tells the paywall the facts of every article, until it has taken them all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

import httpx

from infra.news_site.articles import Article
from infra.news_site.settings import SiteSettings

log = logging.getLogger(__name__)

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 15.0


class Registration:
    """``PUT {PAYWALL_URL}/v1/agencies/{agency}/articles/{id}`` for each article, with a growing delay after failures.

    A CMS does the same whenever an article is saved: the paywall believes the website's back end, never a browser.
    """

    def __init__(
        self, settings: SiteSettings, articles: Iterable[Article], client: httpx.AsyncClient
    ) -> None:
        self._settings = settings
        self._client = client
        self._waiting = {article.id: article for article in articles}
        self.total = len(self._waiting)
        self.problem = "not tried yet"

    @property
    def done(self) -> bool:
        return not self._waiting

    def report(self) -> str:
        if self.done:
            return "ok"
        return f"{self.total - len(self._waiting)} of {self.total}: {self.problem}"

    async def run(self) -> None:
        """Ends when every article is registered."""
        delay = FIRST_DELAY_SECONDS
        while not await self._round():
            log.warning("articles not registered yet: %s", self.problem)
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY_SECONDS)

    async def _round(self) -> bool:
        """Try what is left, until the first failure."""
        for article in list(self._waiting.values()):
            try:
                answer = await self._client.put(
                    f"{self._settings.paywall_from_here}/v1/agencies/{self._settings.agency}"
                    f"/articles/{article.id}",
                    headers={"Authorization": f"Bearer {self._settings.site_key}"},
                    json={
                        "title": article.title,
                        "url": self._settings.news_site_url.rstrip("/") + article.path,
                        "section": article.section,
                        "tags": list(article.tags),
                        "access": article.access,
                        "published_at": article.published_at.isoformat(),
                    },
                    timeout=5.0,
                )
                answer.raise_for_status()
            except httpx.HTTPStatusError as error:
                self.problem = f"the paywall answered {error.response.status_code}"
                return False
            except httpx.HTTPError as error:
                self.problem = f"the paywall is away ({type(error).__name__})"
                return False
            del self._waiting[article.id]
        return True
