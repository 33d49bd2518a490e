"""The camera of the guides' pictures: a browser beside a running stack, and what every scene does with it."""

from __future__ import annotations

import re
from pathlib import Path

import typer
from playwright.sync_api import Browser, BrowserContext, Page

from infra.docs.source import REPOSITORY
from infra.local.processes import ADDRESSES

AGENCY = "bao-hung-yen"
FOLDER = REPOSITORY / "docs" / "pictures"
MAX_BYTES = 200_000
FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LOCALE, ZONE = "vi-VN", "Asia/Ho_Chi_Minh"
DECLINED, ACCEPTED = "4000 0000 0000 0002", "4242 4242 4242 4242"
# Not "networkidle": the answers to counted impressions are never read, so a browser calls that busy for ever.
SETTLED = """() => {
  const inSight = one => {
    const box = one.getBoundingClientRect();
    return box.bottom > 0 && box.top < innerHeight;
  };
  const waiting = one => ["", "waiting"].includes(one.dataset.adState || "");
  return document.fonts.status === "loaded"
    && ![...document.images].some(one => inSight(one) && !one.complete)
    && ![...document.querySelectorAll("[data-ad-placement]")].some(one => inSight(one) && waiting(one));
}"""


class Camera:
    """Where the stack answers, and where the pictures go."""

    def __init__(self, browser: Browser, port: int, password: str, folder: Path) -> None:
        self._browser = browser
        self._port = port
        self._password = password
        self._folder = folder

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._port + ADDRESSES[name]}"

    def phone(self) -> BrowserContext:
        return self._browser.new_context(
            viewport={"width": 390, "height": 780},
            device_scale_factor=1.5,
            is_mobile=True,
            has_touch=True,
            locale=LOCALE,
            timezone_id=ZONE,
        )

    def desktop(self, height: int = 800) -> BrowserContext:
        return self._browser.new_context(
            viewport={"width": 1280, "height": height}, locale=LOCALE, timezone_id=ZONE
        )

    def take(self, page: Page, name: str) -> None:
        """What is on the screen now, once its pictures, fonts and the ads in sight are there."""
        page.wait_for_load_state("load")
        page.wait_for_function(SETTLED)
        path = self._folder / f"{name}.png"
        page.screenshot(path=path, animations="disabled", caret="hide")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise typer.BadParameter(f"{path.name} has {size} bytes, more than {MAX_BYTES}")
        print(f"{path.name:28} {size // 1000:4} kB")

    def staff(self, account: str, landing: str, context: BrowserContext) -> Page:
        """Signed in through identity, at the page that was asked for."""
        page = context.new_page()
        page.goto(landing)
        page.fill("input[name=email]", f"{account}@{AGENCY}.example")
        page.fill("input[name=password]", self._password)
        page.click("main form button")
        page.wait_for_url(lambda url: url.startswith(landing))
        return page


def code_for(context: BrowserContext, outbox: str, email: str) -> str:
    """The six digits of the newest mail to this address."""
    mail = context.new_page()
    mail.goto(outbox)
    text = mail.locator(".mail", has_text=email).first.inner_text()
    mail.close()
    found = re.search(r"\b\d{3} ?\d{3}\b", text)
    if found is None:
        raise typer.BadParameter(f"the mail to {email} has no code: {text}")
    return re.sub(r"\D", "", found[0])


def pay(page: Page, number: str) -> None:
    page.fill("#number", number)
    page.fill("#expiry", "12/34")
    page.fill("#cvc", "123")
    page.click("#pay-form button[type=submit]")
