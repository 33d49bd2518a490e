"""The newspaper's pages, and the one address that sends paid text: after checking the paywall's grant."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape as xml_escape

import httpx
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from infra.news_site.articles import SECTIONS, Article, read_articles
from infra.news_site.registration import Registration
from infra.news_site.settings import SiteSettings
from infra.news_site.words import words
from shared.auth import InvalidTokenError, RemoteKeySet
from shared.clock import VIETNAM, Clock, SystemClock
from shared.web.assets import Assets
from shared.web.compression import compress
from shared.web.i18n import remember_language, request_language
from shared.web.middleware import SecurityHeaders
from shared.web.outgoing import authorities

FOLDER = Path(__file__).parent
WEEKDAYS = ("Thứ Hai", "Thứ Ba", "Thứ Tư", "Thứ Năm", "Thứ Sáu", "Thứ Bảy", "Chủ Nhật")
PROBLEM = "application/problem+json"
NAME = "Báo Hưng Yên"


def content_security_policy(settings: SiteSettings) -> str:
    """Exactly the origins of paywall, ads and billing, and no inline script or style."""
    paywall, ads, billing = settings.paywall_url, settings.ads_url, settings.billing_url
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' {paywall} {ads}",
            f"style-src 'self' {paywall} {ads}",
            f"img-src 'self' {ads}",
            f"connect-src 'self' {paywall} {ads} {billing}",
            "font-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def long_date(at: datetime, language: str) -> str:
    """``Thứ Hai, ngày 23 tháng 11 năm 2026``, or ``Monday, 23 November 2026``."""
    local = at.astimezone(VIETNAM)
    if language == "en":
        return f"{local:%A, {local.day} %B %Y}"
    return f"{WEEKDAYS[local.weekday()]}, ngày {local.day} tháng {local.month} năm {local.year}"


def short_date(at: datetime) -> str:
    return f"{at.astimezone(VIETNAM):%d/%m/%Y %H:%M}"


def json_ld(article: Article, settings: SiteSettings) -> Markup:
    """What search engines may know: the opening, and which part is not free (schema.org, NewsArticle)."""
    home = settings.news_site_url.rstrip("/")
    facts: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "NewsArticle",
        "headline": article.title,
        "description": article.summary,
        "datePublished": article.published_at.isoformat(),
        "author": {"@type": "Person", "name": article.author},
        "publisher": {"@type": "NewsMediaOrganization", "name": NAME, "url": home},
        "image": f"{home}/static/art/{article.art}.svg",
        "mainEntityOfPage": home + article.path,
        "articleSection": article.section_name,
        "inLanguage": "vi",
        "isAccessibleForFree": article.is_free,
    }
    if not article.is_free:
        facts["hasPart"] = {
            "@type": "WebPageElement",
            "isAccessibleForFree": False,
            "cssSelector": "[data-paywall-content]",
        }
    # "<" written so that no text can end the script element.
    return Markup(json.dumps(facts, ensure_ascii=False).replace("<", "\\u003c"))  # noqa: S704


def rss(articles: list[Article], settings: SiteSettings) -> str:
    """RSS 2.0 with titles and summaries; never the text."""
    home = settings.news_site_url.rstrip("/")
    items = "".join(
        f"<item><title>{xml_escape(article.title)}</title><link>{home}{article.path}</link>"
        f'<guid isPermaLink="true">{home}{article.path}</guid>'
        f"<category>{article.section_name}</category>"
        f"<pubDate>{format_datetime(article.published_at.astimezone(UTC))}</pubDate>"
        f"<description>{xml_escape(article.summary)}</description></item>"
        for article in articles
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel>'
        f"<title>{NAME}</title><link>{home}/</link><language>vi</language>"
        f"<description>Tin tức Hưng Yên</description>{items}</channel></rss>"
    )


class Site:
    """The routes, over the articles read at start."""

    def __init__(self, settings: SiteSettings, client: httpx.AsyncClient, clock: Clock) -> None:
        self.settings = settings
        self.articles = read_articles()
        self.registration = Registration(settings, self.articles.values(), client)
        self._clock = clock
        self._grants = RemoteKeySet(
            "press-paywall", f"{settings.paywall_from_here}/.well-known/jwks.json", client
        )
        self._templates = Environment(
            loader=FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.assets = Assets({"/static": FOLDER / "static"})
        self._templates.globals["asset"] = self.assets.url

    def _page(self, request: Request, template: str, status: int = 200, **context: Any) -> Response:
        language = request_language(request)
        html = self._templates.get_template(template).render(
            say=words(language),
            language=language,
            other_language="vi" if language == "en" else "en",
            in_english="&lang=en" if language == "en" else "",
            site=self.settings,
            name=NAME,
            sections=SECTIONS,
            today=long_date(self._clock.now(), language),
            short_date=short_date,
            here=self.settings.news_site_url.rstrip("/") + request.url.path,
            **context,
        )
        answer = HTMLResponse(html, status, headers={"Cache-Control": "public, max-age=30"})
        answer.headers["Vary"] = "Cookie"
        remember_language(
            request, answer, language, secure=self.settings.news_site_url.startswith("https://")
        )
        compress(request, answer)
        return answer

    async def front(self, request: Request) -> Response:
        lead, *others = self.articles.values()
        return self._page(request, "front.html", section="", lead=lead, articles=others)

    async def section(self, request: Request) -> Response:
        section = request.path_params["section"]
        if section not in SECTIONS:
            raise HTTPException(404)
        lead, *others = (one for one in self.articles.values() if one.section == section)
        return self._page(request, "front.html", section=section, lead=lead, articles=others)

    async def article(self, request: Request) -> Response:
        article = self._find(request)
        more = [one for one in self.articles.values() if one.id != article.id]
        more.sort(key=lambda one: one.section != article.section)
        return self._page(
            request,
            "article.html",
            section=article.section,
            article=article,
            json_ld=json_ld(article, self.settings),
            more=more[:4],
        )

    async def content(self, request: Request) -> Response:
        """The whole text as a fragment, to who brings a grant for this very article."""
        article = self._find(request)
        scheme, _, grant = request.headers.get("authorization", "").partition(" ")
        try:
            if scheme.lower() != "bearer":
                raise InvalidTokenError("no grant")
            claims = await self._grants.verify(
                grant, audience=f"site:{self.settings.agency}", now=self._clock.now()
            )
            if claims.get("article") != article.id:
                raise InvalidTokenError("a grant for another article")
        except InvalidTokenError:
            return JSONResponse(
                {
                    "type": "urn:press-revenue:problem:grant-invalid",
                    "title": "A grant of the paywall for this article is needed",
                    "status": 403,
                },
                403,
                headers={"Cache-Control": "private, no-store"},
                media_type=PROBLEM,
            )
        return HTMLResponse(article.text, headers={"Cache-Control": "private, no-store"})

    async def feed(self, _request: Request) -> Response:
        return Response(
            rss(list(self.articles.values()), self.settings),
            media_type="application/rss+xml; charset=utf-8",
        )

    async def healthz(self, _request: Request) -> Response:
        return JSONResponse({"ok": True})

    async def readyz(self, _request: Request) -> Response:
        done = self.registration.done
        checks = {"articles": self.registration.report()}
        return JSONResponse({"ok": done, "checks": checks}, 200 if done else 503)

    async def missing(self, request: Request, _error: Exception) -> Response:
        return self._page(
            request, "missing.html", 404, section="", articles=list(self.articles.values())[:4]
        )

    def _find(self, request: Request) -> Article:
        article = self.articles.get(request.path_params["id"])
        if article is None:
            raise HTTPException(404)
        return article


def build(
    settings: SiteSettings,
    *,
    client: httpx.AsyncClient | None = None,
    clock: Clock | None = None,
) -> Starlette:
    """The application. Tests bring a client that reaches a paywall of their own, and a clock."""
    http = client or httpx.AsyncClient(verify=authorities())
    site = Site(settings, http, clock or SystemClock())

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(site.registration.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await http.aclose()

    app = Starlette(
        routes=[
            Route("/", site.front),
            Route("/muc/{section}", site.section),
            Route("/bai/{id}", site.article),
            Route("/content/{id}", site.content),
            Route("/rss.xml", site.feed),
            Route("/healthz", site.healthz),
            Route("/readyz", site.readyz),
            site.assets.mount(),
        ],
        middleware=[
            Middleware(
                SecurityHeaders,
                csp=content_security_policy(settings),
                hsts=settings.news_site_url.startswith("https://"),
            )
        ],
        exception_handlers={404: site.missing},
        lifespan=lifespan,
    )
    app.state.site = site
    return app
