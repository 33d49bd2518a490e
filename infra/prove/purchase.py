"""A reader of the rehearsal: meets the wall, signs in, pays, reads. Over HTTPS, through the proxy, as a browser would.

``python -m infra.prove.purchase <ca file> <site> <billing> <paywall> <agency>``; prints one line a step, ends 0 when the article
is open. Runs in a namespace of its own, which reaches the proxy and nothing else.
"""

from __future__ import annotations

import re
import secrets
import ssl
import sys
import time
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from string import ascii_lowercase
from urllib.parse import urlsplit

import httpx

from infra.news_site.articles import Article, read_articles

PATIENCE_SECONDS = 60.0
CARD = {"number": "4242 4242 4242 4242", "expiry": "12/34", "cvc": "123", "name": "Bạn đọc"}
MONTHLY = "59.000"


class PurchaseError(RuntimeError):
    """A step did not go as it must; the message says which."""


@dataclass
class Form:
    """Where a form goes, what it carries, and the text around its fields."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    text: str = ""


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._open: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = Form(given.get("action", ""))
            self.found.append(self._open)
        elif tag in ("input", "button") and self._open is not None and given.get("name"):
            self._open.fields.setdefault(given["name"], given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self._open.text += data


def form_with(page: httpx.Response, name: str, text: str = "") -> Form:
    """The form that has a field of this name (and this text). Raises :class:`PurchaseError`."""
    parser = _Forms()
    parser.feed(page.text)
    for form in parser.found:
        if name in form.fields and text in form.text:
            return form
    raise PurchaseError(
        f"{page.url}: no form with {name!r} {text!r} ({page.status_code}): {page.text[:600]}"
    )


def origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


class Reader:
    """One browser."""

    def __init__(self, ca_file: Path, site: str, billing: str, paywall: str, agency: str) -> None:
        self.site, self.billing, self.paywall, self.agency = site, billing, paywall, agency
        # Letters only: six digits in the address would be taken for the code.
        self.email = (
            f"ban.doc.{''.join(secrets.choice(ascii_lowercase) for _ in range(8))}@example.vn"
        )
        self.http = httpx.Client(
            verify=ssl.create_default_context(cafile=str(ca_file)),
            follow_redirects=True,
            timeout=30,
        )

    def get(self, url: str) -> httpx.Response:
        answer = self.http.get(url, headers={"Accept": "text/html,*/*"})
        if answer.is_error:
            raise PurchaseError(f"{url}: {answer.status_code} {answer.text[:400]}")
        return answer

    def submit(self, page: httpx.Response, form: Form, **values: str) -> httpx.Response:
        url = str(page.url.join(unescape(form.action)))
        answer = self.http.post(
            url,
            data={**form.fields, **values},
            headers={"Origin": origin(str(page.url)), "Accept": "text/html,*/*"},
        )
        if answer.is_error:
            raise PurchaseError(f"POST {url}: {answer.status_code} {answer.text[:400]}")
        return answer

    def decide(self, article: Article) -> dict[str, object]:
        """What the website's script asks: who reads, and may they."""
        session = self.http.get(
            f"{self.billing}/v1/agencies/{self.agency}/session", headers={"Origin": self.site}
        ).json()
        headers = {"Origin": self.site}
        if session.get("token"):
            headers["Authorization"] = f"Bearer {session['token']}"
        answer = self.http.post(
            f"{self.paywall}/v1/decisions",
            json={"agency": self.agency, "article_id": article.id},
            headers=headers,
        )
        answer.raise_for_status()
        decision: dict[str, object] = answer.json()
        return decision

    def sign_in(self, back: str) -> None:
        page = self.get(f"{self.billing}/r/{self.agency}/sign-in?return_to={back}")
        page = self.submit(page, form_with(page, "email"), email=self.email)
        mail = self.get(f"{self.billing}/dev/mail").text
        found = re.search(r"\b(\d{3}) ?(\d{3})\b", mail[mail.index(self.email) :])
        if found is None:
            raise PurchaseError("the mail has no code")
        self.submit(page, form_with(page, "code"), code="".join(found.groups()))

    def pay(self) -> str:
        plans = self.get(f"{self.billing}/r/{self.agency}/plans")
        page = self.submit(plans, form_with(plans, "price", MONTHLY), way="card")
        self.submit(page, form_with(page, "number"), email=self.email, **CARD)
        return origin(str(page.url))

    def text_of(self, article: Article, grant: str) -> str:
        answer = self.http.get(
            f"{self.site}/content/{article.id}", headers={"Authorization": f"Bearer {grant}"}
        )
        answer.raise_for_status()
        return answer.text


def paid_sentence(article: Article) -> str:
    blocks = [block for block in article.blocks[1:] if block[:2] not in ("##", "> ")]
    return max(re.split(r"[.!?…]", blocks[0]), key=len).strip()


def story(reader: Reader) -> None:
    """The whole way; raises where it breaks."""
    article = next(one for one in read_articles().values() if one.access == "premium")
    sentence = paid_sentence(article)
    url = reader.site + article.path
    if sentence in reader.get(url).text:
        raise PurchaseError("the paid text stands in the page")
    before = reader.decide(article)
    if before["granted"]:
        raise PurchaseError(f"the article is open to a stranger: {before}")
    print(f"wall: {before['reason']}", flush=True)
    reader.sign_in(url)
    print("signed in with a code by mail", flush=True)
    print(f"paid at {reader.pay()}", flush=True)
    begun = time.monotonic()
    while not (decision := reader.decide(article))["granted"]:
        if time.monotonic() - begun > PATIENCE_SECONDS:
            raise PurchaseError(f"paid, and the article stays closed: {decision}")
        time.sleep(0.2)
    if sentence not in reader.text_of(article, str(decision["grant"])):
        raise PurchaseError("the grant does not bring the text")
    print(f"reads {time.monotonic() - begun:.1f} s after paying: {decision['reason']}", flush=True)


def main() -> None:
    ca_file, site, billing, paywall, agency = sys.argv[1:]
    try:
        story(Reader(Path(ca_file), site, billing, paywall, agency))
    except (PurchaseError, httpx.HTTPError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
