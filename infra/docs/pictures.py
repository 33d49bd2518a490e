"""Takes the pictures of the guides anew, from a running stack: ``python -m infra.docs.pictures`` beside `make run`.

A reader meets the wall, is declined, pays and reads on; a seller holds impressions; finance looks at its figures. Each run uses
a new reader, so it can be repeated. A picture past the limit is refused: a document is read on a phone too.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from pathlib import Path
from typing import Annotated

import httpx
import typer
from playwright.sync_api import expect, sync_playwright

from infra.docs import billing_pictures
from infra.docs.camera import (
    ACCEPTED,
    AGENCY,
    DECLINED,
    FLAGS,
    FOLDER,
    Camera,
    code_for,
    pay,
)
from infra.docs.source import REPOSITORY
from infra.news_site.articles import read_articles

WALL_AFTER = 3  # the example policy's free articles


def reader(camera: Camera) -> None:
    """From the front page over the wall and a declined card to the whole article."""
    articles = list(read_articles().values())
    metered = [article for article in articles if article.access == "metered"]
    site, billing = camera.url("NEWS_SITE_URL"), camera.url("BILLING_URL")
    context = camera.phone()
    page = context.new_page()
    page.goto(site)
    camera.take(page, "reader-front")
    for article in metered[:WALL_AFTER]:
        page.goto(site + article.path)
        expect(page.locator(".pr-meter")).not_to_be_empty()
        if article is metered[0]:
            page.locator(".pr-meter").scroll_into_view_if_needed()
            camera.take(page, "reader-meter")
    page.goto(site + metered[WALL_AFTER].path)
    wall = page.locator(".pr-wall")
    wall.wait_for()
    wall.evaluate("one => one.scrollIntoView({block: 'center'})")
    camera.take(page, "reader-wall")
    page.click(".pr-wall [data-offer=subscribe]")
    page.wait_for_selector("form.plan")
    camera.take(page, "reader-plans")
    billing_pictures.choose(page, "59.000", "Trả bằng thẻ")
    email = f"ban.doc.{secrets.token_hex(2)}@example.vn"
    page.fill("input[name=email]", email)
    camera.take(page, "reader-sign-in")
    page.click("main form button[type=submit]")
    page.fill("input[name=code]", code_for(context, f"{billing}/dev/mail", email))
    camera.take(page, "reader-code")
    page.click("main form button[type=submit]")
    if not page.url.startswith(camera.url("STRIPE_SANDBOX_URL")):
        billing_pictures.choose(page, "59.000", "Trả bằng thẻ")
    pay(page, DECLINED)
    page.locator("[role=alert]").wait_for()
    page.locator("[role=alert]").scroll_into_view_if_needed()
    camera.take(page, "reader-declined")
    pay(page, ACCEPTED)
    page.wait_for_selector("#read-on")
    camera.take(page, "reader-receipt")
    page.click("#read-on")
    page.wait_for_url(f"{site}{metered[WALL_AFTER].path}**")
    context.close()


def seller(camera: Camera) -> None:
    """What is free, a quote, a hold (given back at the end), and an ad on the site."""
    console = f"{camera.url('ADS_URL')}/console/{AGENCY}"
    context = camera.desktop()
    page = camera.staff("seller", console, context)
    camera.take(page, "seller-calendar")
    page.goto(f"{console}/book")
    page.fill("input[name=advertiser]", "Gốm Chu Đậu (ví dụ)")
    with page.expect_response(lambda one: "/quote?" in one.url and "units=1000&" in one.url):
        page.fill("input[name=units]", "1000")
    page.locator("#fits").wait_for()
    camera.take(page, "seller-booking")
    page.click("button[name=action][value=reserve]")
    page.wait_for_url("**/lines/**")
    camera.take(page, "seller-hold")
    line = page.url.split("?")[0]
    page.locator("form[action$='/cancel'] button").click()
    page.wait_for_url(f"{line}**")
    context.close()
    phone = camera.phone()
    page = camera.staff("seller", f"{console}/lines?status=InFlight", phone)
    camera.take(page, "seller-phone")
    phone.close()


def finance(camera: Camera) -> None:
    """The agency's growth, on a desktop and a phone, the baseline, and billing's books."""
    pages = f"{camera.url('METRICS_URL')}/finance/{AGENCY}"
    context = camera.desktop(height=1000)
    page = camera.staff("finance", pages, context)
    camera.take(page, "finance-agency")
    page.goto(f"{pages}/imports")
    camera.take(page, "finance-imports")
    page.goto(f"{pages}/baseline")
    camera.take(page, "finance-baseline")
    books = f"{camera.url('BILLING_URL')}/staff/{AGENCY}"
    page.goto(f"{books}/books")
    camera.take(page, "finance-books")
    page.goto(f"{books}/journal")
    camera.take(page, "finance-journal")
    context.close()
    phone = camera.phone()
    page = camera.staff("finance", pages, phone)
    camera.take(page, "finance-phone")
    phone.close()


def engineer(camera: Camera) -> None:
    """Where the website's key is made, and the website with its ads."""
    context = camera.desktop()
    page = context.new_page()
    page.goto(camera.url("NEWS_SITE_URL"))
    page.locator("[data-ad-placement=home-top] .pr-ad-label").wait_for()
    camera.take(page, "site-desktop")
    context.close()
    context = camera.desktop()
    page = camera.staff("admin", f"{camera.url('IDENTITY_URL')}/keys/{AGENCY}", context)
    camera.take(page, "engineer-keys")
    context.close()


SCENES = {
    "reader": reader,
    "seller": seller,
    "finance": finance,
    "engineer": engineer,
    **billing_pictures.SCENES,
}

app = typer.Typer(add_completion=False)


@app.command()
def main(
    scenes: Annotated[list[str] | None, typer.Argument(help=", ".join(SCENES))] = None,
    port: Annotated[int, typer.Option(envvar="PRESS_PORT", help="The stack's base port")] = 8000,
    data_dir: Annotated[Path, typer.Option(envvar="PRESS_DATA_DIR")] = REPOSITORY / ".local",
    folder: Annotated[Path, typer.Option(help="Where the pictures go")] = FOLDER,
) -> None:
    """Take the pictures of all scenes, or of those that are named."""
    unknown = set(scenes or ()) - set(SCENES)
    if unknown:
        raise typer.BadParameter(f"there are {', '.join(SCENES)}")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise typer.BadParameter("Chromium is missing (Debian: apt-get install chromium)")
    try:
        httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5).raise_for_status()
        password = json.loads((data_dir / "secrets.json").read_text())["demo_password"]
    except (httpx.HTTPError, OSError) as error:
        raise typer.BadParameter(f"no stack runs on port {port} from {data_dir}: {error}") from None
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for name in scenes or SCENES:
            SCENES[name](Camera(browser, port, password, folder))
        browser.close()


if __name__ == "__main__":
    sys.exit(app())
