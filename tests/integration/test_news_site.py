"""The sample newspaper: its pages are open, its paid text leaves only with a grant for that very article."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from html.parser import HTMLParser
from xml.etree import ElementTree

import httpx
import pytest

from infra.news_site.articles import SECTIONS, read_articles
from infra.news_site.settings import SiteSettings
from infra.news_site.site import build
from shared.auth import SigningKeySet
from shared.clock import MovableClock

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
URL = "http://127.0.0.1:8000"
SETTINGS = SiteSettings(site_key="prk_site_" + "x" * 40)
ARTICLES = read_articles()
PAID = [article for article in ARTICLES.values() if not article.is_free]


class Paywall:
    """Stands in for the paywall with what the website needs of it: its keys and its registry."""

    def __init__(self) -> None:
        self.keys = SigningKeySet.generate("press-paywall")
        self.registered: dict[str, dict[str, object]] = {}
        self.refuse = 0

    async def handle(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/.well-known/jwks.json":
            return httpx.Response(200, json=self.keys.jwks())
        assert request.method == "PUT"
        if self.refuse:
            self.refuse -= 1
            return httpx.Response(503)
        assert request.headers["authorization"] == f"Bearer {SETTINGS.site_key}"
        prefix = "/v1/agencies/bao-hung-yen/articles/"
        assert request.url.path.startswith(prefix)
        self.registered[request.url.path.removeprefix(prefix)] = json.loads(request.content)
        return httpx.Response(200, json={})

    def grant(self, article: str, *, keys: SigningKeySet | None = None, **changes) -> str:
        facts = {"audience": "site:bao-hung-yen", "now": NOW, "lifetime_seconds": 300} | changes
        claims = {"article": article, "reason": "METERING", "sub": "meter-1"}
        return (keys or self.keys).sign(claims, **facts)


@pytest.fixture
def paywall() -> Paywall:
    return Paywall()


@pytest.fixture
async def site(paywall):
    to_paywall = httpx.AsyncClient(transport=httpx.MockTransport(paywall.handle))
    app = build(SETTINGS, client=to_paywall, clock=MovableClock(NOW))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL) as http:
        http.app = app
        yield http
    await to_paywall.aclose()


def paid_sentences(article) -> list[str]:
    """Every sentence after the opening."""
    return [
        sentence
        for block in article.blocks[1:]
        for sentence in re.split(r"(?<=[.?!])\s+", block.removeprefix("> ").removeprefix("## "))
        if len(sentence) > 25
    ]


class Checker(HTMLParser):
    """Collects links, and notices elements that are left open."""

    VOID = frozenset({"meta", "link", "img", "br", "input", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: set[str] = set()
        self.headings: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.links.update(value for name, value in attrs if name in ("href", "src") and value)
        self.inline.extend(name for name in values if name == "style" or name.startswith("on"))
        if tag == "script" and "src" not in values and values.get("type") != "application/ld+json":
            self.inline.append("script")
        if tag in ("h1", "h2", "h3"):
            self.headings.append(tag)
        if tag == "img":
            assert "alt" in values and "width" in values and "height" in values
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"


async def crawl(site) -> dict[str, str]:
    """Every public address that can be reached from the front page, with what it says."""
    waiting, seen = ["/", "/rss.xml", "/healthz", "/readyz", "/khong-co", "/bai/khong-co"], {}
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        answer = await site.get(path)
        assert answer.status_code in (200, 403, 404, 503), path
        seen[path] = answer.text
        if answer.headers["content-type"].startswith("text/html"):
            checker = Checker()
            checker.feed(answer.text)
            assert checker.open == [], path
            assert checker.inline == [], path
            assert checker.headings.count("h1") == 1, path
            waiting.extend(link for link in checker.links if link.startswith("/"))
            waiting.extend(
                f"/content/{link.removeprefix('/bai/')}"
                for link in checker.links
                if link.startswith("/bai/")
            )
    return seen


def test_there_are_twelve_articles_three_free_six_metered_three_premium_in_every_section():
    access = [article.access for article in ARTICLES.values()]
    assert {kind: access.count(kind) for kind in set(access)} == {
        "free": 3,
        "metered": 6,
        "premium": 3,
    }
    assert {article.section for article in ARTICLES.values()} == set(SECTIONS)
    for article in ARTICLES.values():
        words = sum(len(block.split()) for block in article.blocks)
        assert 350 <= words <= 600, (article.id, words)
        assert len(paid_sentences(article)) >= 10, article.id


async def get_content(site, article: str, grant: str | None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {grant}"} if grant is not None else {}
    return await site.get(f"/content/{article}", headers=headers)


async def test_with_a_grant_the_whole_text_comes_and_is_kept_by_no_cache(site, paywall):
    article = PAID[0]
    answer = await get_content(site, article.id, paywall.grant(article.id))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "private, no-store"
    text = unescape(answer.text)
    assert all(sentence in text for sentence in paid_sentences(article))
    assert article.blocks[0] in text


async def test_without_a_proper_grant_no_paid_text_comes(site, paywall):
    article, other = PAID[0], PAID[1]
    forger = SigningKeySet.generate("press-paywall")
    good = paywall.grant(article.id)
    head, body, _ = good.split(".")
    grants = {
        "none": None,
        "empty": "",
        "noise": "a.b.c",
        "not ascii": "ế",
        "another article's": paywall.grant(other.id),
        "expired": paywall.grant(article.id, now=NOW - timedelta(seconds=306)),
        "another agency's": paywall.grant(article.id, audience="site:dai-song-hong"),
        "the paywall's own audience": paywall.grant(article.id, audience="press-paywall"),
        "another issuer's": paywall.grant(article.id, keys=SigningKeySet.generate("press-billing")),
        "forged": paywall.grant(article.id, keys=forger),
        "cut": good[:-2],
        "unsigned": f"{head}.{body}.",
        "another signature": f"{head}.{body}.{paywall.grant(other.id).split('.')[2]}",
        "none algorithm": "eyJhbGciOiJub25lIn0." + body + ".",
    }
    for name, grant in grants.items():
        headers = {b"Authorization": f"Bearer {grant}".encode()} if grant is not None else {}
        answer = await site.get(f"/content/{article.id}", headers=headers)
        assert answer.status_code == 403, name
        assert answer.headers["content-type"] == "application/problem+json", name
        assert answer.headers["cache-control"] == "private, no-store", name
        assert not any(sentence in answer.text for sentence in paid_sentences(article)), name
    basic = await site.get(f"/content/{article.id}", headers={"Authorization": f"Basic {good}"})
    assert basic.status_code == 403
    query = await site.get(f"/content/{article.id}", params={"grant": good})
    assert query.status_code == 403
    assert (await get_content(site, article.id, good)).status_code == 200


async def test_paid_sentences_are_in_no_public_answer(site):
    public = await crawl(site)
    assert {article.path for article in ARTICLES.values()} <= set(public)
    assert len(public) > 40
    for path, text in public.items():
        plain = unescape(text)
        for article in PAID:
            for sentence in paid_sentences(article):
                assert sentence not in plain, (path, article.id)
                assert json.dumps(sentence)[1:-1] not in text, (path, article.id)


async def test_a_free_article_is_whole_in_its_page_and_needs_no_paywall(site):
    for article in ARTICLES.values():
        page = (await site.get(article.path)).text
        if article.is_free:
            assert all(sentence in unescape(page) for sentence in paid_sentences(article))
        assert ("paywall.js" in page) is not article.is_free
        assert article.blocks[0] in unescape(page)
        assert "<noscript>" in page or article.is_free


async def test_an_article_says_to_search_engines_what_is_not_free(site):
    for article in ARTICLES.values():
        page = (await site.get(article.path)).text
        [block] = re.findall(r'<script type="application/ld\+json">(.*?)</script>', page)
        facts = json.loads(block)
        assert facts["@type"] == "NewsArticle"
        assert facts["headline"] == article.title
        assert facts["isAccessibleForFree"] is article.is_free
        if not article.is_free:
            assert facts["hasPart"]["cssSelector"] == "[data-paywall-content]"


async def test_article_pages_carry_the_script_and_the_placements(site):
    page = (await site.get(PAID[0].path)).text
    tag = re.search(r"<script src=\"http://127.0.0.1:8002/paywall.js\"[^>]*>", page)
    assert tag is not None
    for attribute in (
        'data-agency="bao-hung-yen"',
        f'data-article="{PAID[0].id}"',
        f'data-content="/content/{PAID[0].id}"',
        'data-billing="http://127.0.0.1:8001"',
    ):
        assert attribute in tag[0]
    assert 'data-ad-placement="article-inline"' in page
    assert 'data-ad-placement="article-bottom"' in page
    assert "http://127.0.0.1:8003/ads.js" in page
    front = (await site.get("/")).text
    assert 'data-ad-placement="home-top"' in front
    assert 'data-ad-placement="sidebar"' in front
    assert "Thứ Hai, ngày 23 tháng 11 năm 2026" in front


async def test_the_policy_allows_exactly_paywall_ads_and_billing(site):
    for path in ("/", PAID[0].path, "/rss.xml", "/content/x", "/static/site.js"):
        policy = (await site.get(path)).headers["content-security-policy"]
        rules = dict(part.strip().split(" ", 1) for part in policy.split(";"))
        assert rules["default-src"] == "'none'"
        assert rules["script-src"] == "'self' http://127.0.0.1:8002 http://127.0.0.1:8003"
        assert rules["connect-src"] == (
            "'self' http://127.0.0.1:8002 http://127.0.0.1:8003 http://127.0.0.1:8001"
        )
        assert "unsafe" not in policy


async def test_the_feed_names_every_article(site):
    answer = await site.get("/rss.xml")
    assert answer.headers["content-type"].startswith("application/rss+xml")
    items = ElementTree.fromstring(answer.text).findall("./channel/item")
    assert [item.findtext("title") for item in items] == [
        article.title for article in ARTICLES.values()
    ]
    assert items[0].findtext("pubDate") == "Sun, 22 Nov 2026 23:15:00 +0000"


async def test_every_article_is_registered_however_late_the_paywall_comes(site, paywall):
    paywall.refuse = 1
    waiting = await site.get("/readyz")
    assert waiting.status_code == 503
    assert waiting.json()["checks"]["articles"] == "0 of 12: not tried yet"
    await site.app.state.site.registration.run()
    assert (await site.get("/readyz")).json() == {"ok": True, "checks": {"articles": "ok"}}
    assert set(paywall.registered) == set(ARTICLES)
    article = PAID[0]
    assert paywall.registered[article.id] == {
        "title": article.title,
        "url": URL + article.path,
        "section": article.section,
        "tags": list(article.tags),
        "access": article.access,
        "published_at": article.published_at.isoformat(),
    }


async def test_a_paywall_that_refuses_is_named_in_readiness(paywall):
    async def refuse(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(401)

    async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as http:
        registration = build(SETTINGS, client=http, clock=MovableClock(NOW)).state.site.registration
        assert await registration._round() is False
        assert registration.report() == "0 of 12: the paywall answered 401"


VIETNAMESE_LETTERS = re.compile(
    r"[àáảãạăằắẳẵặâầấẩẫậèéẻẽẹêềếểễệđìíỉĩịòóỏõọôồốổỗộơờớởỡợùúủũụưừứửữựỳýỷỹỵ]", re.I
)


class Frame(HTMLParser):
    """The words of a page outside what says that it is in Vietnamese."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self._inside: list[bool] = []

    def handle_starttag(self, tag, attrs):
        if tag in {"meta", "link", "img", "br", "hr", "input"}:
            return
        facts = dict(attrs)
        outer = self._inside[-1] if self._inside else False
        own = facts.get("lang")
        self._inside.append((own == "vi") if own else outer or tag in {"script", "title"})
        if not self._inside[-1] and (label := facts.get("aria-label")):
            self.said.append(label)

    def handle_endtag(self, tag):
        self._inside.pop()

    def handle_data(self, data):
        if self._inside and not self._inside[-1] and data.strip():
            self.said.append(data.strip())


#: Names stay what they are.
NAMES = "|".join({"Báo Hưng Yên", "Tiếng Việt"} | {article.author for article in ARTICLES.values()})


async def test_the_frame_is_in_vietnamese_and_english_is_one_click_away(site):
    pages = ["/", "/muc/kinh-te", "/nowhere", *(article.path for article in ARTICLES.values())]
    for path in pages:
        shown = await site.get(path)
        assert '<html lang="vi">' in shown.text and "Gói đọc báo" in shown.text
        assert '<a class="language" href="?lang=en"' in shown.text
        assert "Cookie" in shown.headers["vary"], "one address, two languages"
    await site.get("/?lang=en")
    for path in pages:
        shown = await site.get(path)
        assert '<html lang="en">' in shown.text and "plans?return_to=" in shown.text
        frame = Frame()
        frame.feed(shown.text)
        left = [one for one in frame.said if VIETNAMESE_LETTERS.search(re.sub(NAMES, "", one))]
        assert left == [], path
    assert "Gói đọc báo" in (await site.get("/?lang=vi")).text
