"""The form's token by itself: what it is bound to, how it is hidden, and what of a stale form is shown again."""

from __future__ import annotations

import hmac
import io
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from shared.errors import ForbiddenError
from shared.security.events import SecurityEvent
from shared.web import csrf
from shared.web.csrf import FormTokens, SentForm, StaleFormError

SECRET = "sixteen-letters-"
FORMS = FormTokens(SECRET, "session")
TOKEN = hmac.new(SECRET.encode(), b"s-1", sha256).hexdigest()


def request(body: str = "", **headers: str) -> Request:
    told = {"content-type": "application/x-www-form-urlencoded", **headers}

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body.encode(), "more_body": False}

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "headers": [
            (name.replace("_", "-").encode(), value.encode()) for name, value in told.items()
        ],
    }
    return Request(scope, receive)


def test_a_token_is_the_hmac_of_the_session():
    assert FORMS.token_for("s-1") == TOKEN
    assert FORMS.binding(request(cookie="session=s-1; other=x")) == "s-1"
    assert FORMS.binding(request(cookie="other=x")) == FORMS.binding(request()) == ""


def test_the_secret_has_sixteen_characters_or_more():
    assert FormTokens(SECRET, "session").token_for("s-1") == TOKEN
    with pytest.raises(ValueError, match=r"^the form-token secret needs 16 characters or more$"):
        FormTokens(SECRET[:-1], "session")


@given(st.text(max_size=20))
def test_a_token_is_shown_under_a_mask_of_its_own_each_time(session):
    shown = {FORMS.shown_for(session) for _ in range(4)}
    assert len(shown) == 4
    masks = set()
    for one in shown:
        raw = bytes.fromhex(one)
        assert len(raw) == 64
        masks.add(raw[:32])
        assert bytes(a ^ b for a, b in zip(raw[:32], raw[32:], strict=True)).hex() == (
            FORMS.token_for(session)
        )
    assert len(masks) == 4


async def test_the_field_or_the_header_lets_the_form_through():
    hidden = FORMS.token(request(cookie="session=s-1"))
    await FORMS.verify(request(f"csrf_token={hidden}", cookie="session=s-1"))
    await FORMS.verify(request(cookie="session=s-1", x_csrf_token=hidden))
    await FORMS.verify(request(f"csrf_token={FORMS.shown_for('')}"))


@pytest.mark.parametrize(
    "sent",
    [
        TOKEN,  # without a mask
        "00" * 32 + FormTokens("another-16-letters", "session").token_for("s-1"),
        "00" * 32 + FORMS.token_for("s-2"),
        "00" * 31 + TOKEN,
        "00" * 33 + TOKEN,
        "00" * 32 + TOKEN[:-2],
        "zz" * 64,
        "",
        "ố",
    ],
)
async def test_any_other_token_is_refused(sent):
    for stale in (
        request(f"a=1&csrf_token={sent}&b=2", cookie="session=s-1"),
        request("a=1&b=2", cookie="session=s-1"),
    ):
        with pytest.raises(StaleFormError) as refused:
            await FORMS.verify(stale)
        error = refused.value
        assert isinstance(error, ForbiddenError)
        assert error.sent == SentForm((("a", "1"), ("b", "2")))
        assert error.forms is FORMS
        assert error.slug == "form-token-invalid"
        assert error.security is SecurityEvent.FORM_TOKEN_REFUSED
        assert error.detail == "The form has expired: load the page again"


async def test_a_header_counts_before_the_field_and_shows_nothing_again():
    hidden = FORMS.shown_for("s-1")
    stale = request(f"a=1&csrf_token={hidden}", cookie="session=s-1", x_csrf_token="00")
    with pytest.raises(StaleFormError) as refused:
        await FORMS.verify(stale)
    assert refused.value.sent is None
    await FORMS.verify(request("csrf_token=00", cookie="session=s-1", x_csrf_token=hidden))


FILE = UploadFile(io.BytesIO(b"x"), filename="a.csv")


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        (
            [("a", "1"), ("csrf_token", "x"), ("a", "2"), ("reset-token", "y")],
            SentForm((("a", "1"), ("a", "2"), ("reset-token", "y"))),
        ),
        ([("csrf_token", "x")], SentForm(())),
        (
            [("New_Password", "x"), ("a", "1"), ("client_secret", "y")],
            SentForm((("a", "1"),), ("New_Password", "client_secret")),
        ),
        (
            [(name, "x") for name in ("old", "new", "repeat", "confirm", "renew", "older")],
            SentForm((("renew", "x"), ("older", "x")), ("old", "new", "repeat", "confirm")),
        ),
        ([("file", FILE), ("a", "1")], SentForm((("a", "1"),), (), ("file",))),
        ([("password", FILE)], SentForm((), (), ("password",))),
    ],
)
def test_what_was_typed_is_kept_and_secrets_and_files_are_asked_for_again(fields, kept):
    assert csrf._kept(FormData(fields)) == kept


def test_a_form_of_a_hundred_thousand_characters_is_kept_and_no_longer_one():
    fields = [("a", "x" * 60_000), ("b", "x" * 40_000)]
    assert csrf._kept(FormData(fields)) == SentForm(tuple(fields))
    assert csrf._kept(FormData([*fields, ("password", "x"), ("c", "")])) is not None
    assert csrf._kept(FormData([*fields, ("c", "x")])) is None
