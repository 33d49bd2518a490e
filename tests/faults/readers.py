"""Readers who pay, over HTTP, as their browsers would: sign in by code, choose a plan, pay with a test card."""

from __future__ import annotations

import re
from html import unescape

import httpx

from infra.local.stack import LocalStack

AGENCY = "bao-hung-yen"
PRICE = 59_000


def hidden(html: str, name: str) -> str:
    """The value of a form's hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', html)
    assert found is not None, f"no field {name} in {html[:500]}"
    return unescape(found.group(1))


class PayingReader:
    """One new reader. ``sign_in`` and ``choose`` happen in quiet times; ``pay`` sets off the webhooks."""

    def __init__(self, stack: LocalStack, number: int) -> None:
        self._billing = stack.url("billing-web")
        self._sandbox = stack.url("stripe-sandbox")
        self._email = f"reader-{number}@example.vn"
        self._http = httpx.Client(timeout=20, headers={"Origin": self._billing})
        self._checkout = ""

    def choose(self) -> None:
        """Sign in and get as far as the payment page."""
        pages = f"{self._billing}/r/{AGENCY}"
        form = self._http.get(f"{pages}/sign-in").text
        answer = self._http.post(
            f"{pages}/sign-in",
            data={"csrf_token": hidden(form, "csrf_token"), "email": self._email, "return_to": ""},
        )
        code_page = self._absolute(answer) if answer.is_redirect else answer
        mail = self._http.get(f"{self._billing}/dev/mail").text
        after = mail[mail.index(self._email) :]
        found = re.search(r"\b(\d{3} ?\d{3})\b", after)
        assert found is not None
        signed_in = self._http.post(
            f"{pages}/sign-in/code",
            data={
                "csrf_token": hidden(code_page.text, "csrf_token"),
                "code": found.group(1),
                "return_to": "",
            },
        )
        assert signed_in.status_code == 303, signed_in.text[:500]
        plans = self._http.get(f"{pages}/plans").text
        price = re.search(
            r'name="price" value="([^"]+)">(?:(?!name="price").)*?59\.000', plans, flags=re.DOTALL
        )
        assert price is not None
        checkout = self._http.post(
            f"{pages}/checkout",
            data={
                "csrf_token": hidden(plans, "csrf_token"),
                "price": price.group(1),
                "way": "card",
                "return_to": "",
            },
        )
        assert checkout.status_code == 303, checkout.text[:500]
        self._checkout = checkout.headers["location"]
        assert self._checkout.startswith(self._sandbox), self._checkout

    def _absolute(self, answer: httpx.Response) -> httpx.Response:
        return self._http.get(httpx.URL(self._billing).join(answer.headers["location"]))

    def pay(self) -> None:
        """Pay, and close the browser: only webhooks tell billing."""
        paid = httpx.post(
            self._checkout,
            data={
                "email": self._email,
                "number": "4242424242424242",
                "expiry": "12/34",
                "cvc": "123",
                "name": "Bạn đọc",
            },
            headers={"Origin": self._sandbox},
            timeout=20,
        )
        assert paid.status_code in (302, 303), paid.text[:500]
        self._http.close()
