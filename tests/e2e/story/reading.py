"""Chapter one: a reader reads, meets the wall, pays and reads on."""

from __future__ import annotations

import re
import time

from playwright.async_api import Page, expect

from infra.news_site.articles import Article, read_articles
from tests.e2e.story.teller import AGENCY, Story, Witness, phone_page

READER = "ban.doc@example.vn"
FREE_ALLOWANCE = 3
DECLINED, GOOD = "4000 0000 0000 0002", "4242 4242 4242 4242"


def paid_sentence(article: Article) -> str:
    """A sentence of the article that only those may see who may read it."""
    paragraphs = [block for block in article.blocks[1:] if block[:2] not in ("##", "> ")]
    return max(re.split(r"[.!?…]", paragraphs[0]), key=len).strip()


async def tell(story: Story) -> None:
    articles = list(read_articles().values())
    metered = [article for article in articles if article.access == "metered"]
    premium = [article for article in articles if article.access == "premium"]
    free = [article for article in articles if article.access == "free"]
    page, witness = await phone_page(story)
    await _free_article(story, page, free[0])
    await _metered_articles(story, page, metered[:FREE_ALLOWANCE])
    walled = metered[FREE_ALLOWANCE]
    await _wall(story, page, witness, walled, premium[0])
    await _sign_in(story, page, walled)
    await _pay(story, page)
    await _read_on(story, page, walled, premium[0])


def _article_url(story: Story, article: Article) -> str:
    return f"{story.url('news-site')}/{article.path.lstrip('/')}"


async def _free_article(story: Story, page: Page, article: Article) -> None:
    async with story.step("A reader opens the front page and a free article") as facts:
        await page.goto(story.url("news-site"))
        await page.click(f"a[href='/{article.path.lstrip('/')}'] >> nth=0")
        await expect(page.locator("h1")).to_contain_text(article.title)
        facts.append("read whole, nothing counted")
        await expect(page.locator(".pr-wall")).to_have_count(0)


async def _metered_articles(story: Story, page: Page, articles: list[Article]) -> None:
    async with story.step(f"{len(articles)} metered articles, each counted once") as facts:
        for number, article in enumerate(articles, start=1):
            left = len(articles) - number
            for _visit in ("first", "reload"):
                await page.goto(_article_url(story, article))
                await expect(page.locator("[data-paywall-content]")).to_contain_text(
                    paid_sentence(article)[:40]
                )
                await expect(page.locator(".pr-meter")).to_contain_text(str(left))
            facts.append(f"còn {left}")


async def _wall(
    story: Story, page: Page, witness: Witness, walled: Article, premium: Article
) -> None:
    async with story.step("The wall; no paid text in any response") as facts:
        for article in (walled, premium):
            witness.forget()
            await page.goto(_article_url(story, article))
            await expect(page.locator(".pr-wall")).to_be_visible()
            source = await page.content()
            assert paid_sentence(article) not in source
            await witness.assert_never_saw(paid_sentence(article))
        facts.append(f"{witness.looked_at} responses looked at, 0 with paid text")


async def _sign_in(story: Story, page: Page, walled: Article) -> None:
    async with story.step("From the wall to the plans, and in with a code by e-mail") as facts:
        await page.goto(_article_url(story, walled))
        await page.click(".pr-wall [data-offer=subscribe]")
        await page.wait_for_url("**/r/**")
        # A plan is chosen first; whoever is not signed in is asked to, and goes on to its payment.
        month = page.locator("form.plan", has_text=re.compile(r"59\.000"))
        await month.locator("button[name=way][value=card]").click()
        await page.fill("input[name=email]", READER)
        await page.click("main form button[type=submit]")
        await page.wait_for_selector("input[name=code]")
        mail = await page.context.new_page()
        await mail.goto(f"{story.url('billing-web')}/dev/mail")
        shown = await mail.locator(".mail", has_text=READER).first.inner_text()
        code = re.sub(r"\D", "", re.search(r"\b\d{3} ?\d{3}\b", shown).group(0))  # type: ignore[union-attr]
        await mail.close()
        await page.fill("input[name=code]", code)
        await page.click("main form button[type=submit]")
        facts.append(f"signed in as {READER}")


async def _card(page: Page, number: str) -> None:
    await page.fill("#number", number)
    await page.fill("#expiry", "12/34")
    await page.fill("#cvc", "123")
    await page.click("#pay-form button[type=submit]")


async def _pay(story: Story, page: Page) -> None:
    async with story.step("A declined card, then a good one") as facts:
        await page.wait_for_selector("#number")
        assert page.url.startswith(story.url("stripe-sandbox"))
        await _card(page, DECLINED)
        await expect(page.locator("[role=alert]")).to_be_visible()
        rows = await story.number(
            "billing", "SELECT count(*) FROM payment WHERE agency = $1", AGENCY
        )
        assert rows == 0, "a declined card must leave no payment"
        await _card(page, GOOD)
        await page.wait_for_selector("#read-on")
        facts.append("declined: nothing charged; accepted: 59.000 ₫, receipt shown")


async def _read_on(story: Story, page: Page, walled: Article, premium: Article) -> None:
    async with story.step("Back to the same article: readable at once") as facts:
        started = time.perf_counter()
        await page.click("#read-on")
        await page.wait_for_url(f"{_article_url(story, walled)}**")
        await expect(page.locator("[data-paywall-content]")).to_contain_text(
            paid_sentence(walled)[:40]
        )
        seconds = time.perf_counter() - started
        facts.append(f"text {seconds * 1000:.0f} ms after the click")
        await page.goto(_article_url(story, premium))
        await expect(page.locator("[data-paywall-content]")).to_contain_text(
            paid_sentence(premium)[:40]
        )
        facts.append("a premium article opens too")
