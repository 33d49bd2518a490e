"""The page a person sees when something is refused; programs get problem+json.

A browser says that it wants a page (``Accept: text/html``); routes below ``/v1/`` and ``/internal/`` are for programs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from shared.errors import ProblemError
from shared.web.assets import asset_url
from shared.web.csrf import FORM_FIELD, StaleFormError
from shared.web.i18n import Translate, request_language, translator

_WORDS: dict[str, dict[int | str, tuple[str, str]]] = {
    "vi": {
        403: ("Bạn không có quyền xem trang này", "Tài khoản của bạn chưa được cấp quyền."),
        404: ("Không tìm thấy trang", "Địa chỉ sai, hoặc nội dung thuộc cơ quan khác."),
        409: ("Chưa thực hiện được", "Dữ liệu vừa thay đổi. Hãy tải lại trang rồi thử lại."),
        412: ("Chưa thực hiện được", "Dữ liệu vừa thay đổi. Hãy tải lại trang rồi thử lại."),
        413: ("Tệp quá lớn", "Hãy chọn tệp nhỏ hơn."),
        "body-too-large": (
            "Tệp quá lớn",
            "Biểu mẫu cùng tệp được tối đa {limit}. Hãy chọn tệp nhỏ hơn.",
        ),
        "wrong-host": ("Sai địa chỉ", "Máy chủ này không phục vụ tên miền đó."),
        "cross-site-request": (
            "Yêu cầu đến từ trang khác",
            "Chưa có gì thay đổi. Hãy mở lại trang của chúng tôi rồi thử lại.",
        ),
        422: ("Dữ liệu chưa đúng", "Hãy kiểm tra lại những gì đã nhập."),
        429: ("Quá nhiều yêu cầu", "Hãy thử lại sau ít phút."),
        503: ("Hệ thống đang bận", "Hãy thử lại sau giây lát; chưa có gì bị mất."),
        "form-token-invalid": (
            "Trang đã cũ, hãy thử lại",
            "Trang đã mở quá lâu, hoặc trình duyệt không còn cookie. Chưa có gì thay đổi.",
        ),
        0: ("Có lỗi xảy ra", "Hãy tải lại trang; nếu vẫn lỗi, xin báo cho chúng tôi."),
    },
    "en": {
        403: ("You may not see this page", "Your account lacks the role it needs."),
        404: ("There is nothing here", "The address is wrong, or belongs to another agency."),
        409: ("This could not be done", "Something has just changed. Load the page and try again."),
        412: ("This could not be done", "Something has just changed. Load the page and try again."),
        413: ("The file is too large", "Choose a smaller one."),
        "body-too-large": (
            "The file is too large",
            "A form with its file may have at most {limit}. Choose a smaller one.",
        ),
        "wrong-host": ("This is the wrong address", "This server does not answer for that host."),
        "cross-site-request": (
            "This request came from another site",
            "Nothing has changed. Open our page again and retry.",
        ),
        422: ("The input is not valid", "Look at what you entered again."),
        429: ("Too many requests", "Try again in a few minutes."),
        503: ("The system is busy", "Try again in a moment; nothing is lost."),
        "form-token-invalid": (
            "This page has grown old: try again",
            "It was open for too long, or the browser has lost its cookie. Nothing has changed.",
        ),
        0: ("Something went wrong", "Load the page again; if it stays, please tell us."),
    },
}
#: Where the reason of a refusal is told: what the person did, and nothing of what they may not know.
_TOLD = frozenset({409, 412, 422})
_LINKS = {
    "vi": {
        "home": "Trang chủ",
        "again": "Thử lại",
        "kept": "Những gì bạn đã nhập vẫn còn.",
        "secret": "Riêng mật khẩu, bạn hãy nhập lại.",
        "file": "Riêng tệp, bạn hãy chọn lại.",
        "password": "Mật khẩu",
        "old": "Mật khẩu hiện tại",
        "new": "Mật khẩu mới",
        "repeat": "Nhập lại mật khẩu mới",
        "confirm": "Mật khẩu hoặc mã",
        "chosen": "Tệp",
        "reload": "Tải lại trang",
        "back": "Quay lại",
    },
    "en": {
        "home": "Home",
        "again": "Try again",
        "kept": "What you typed is still there.",
        "secret": "Only the password is to be typed again.",
        "file": "Only the file is to be chosen again.",
        "password": "Password",
        "old": "Present password",
        "new": "New password",
        "repeat": "New password again",
        "confirm": "Password or code",
        "chosen": "File",
        "reload": "Load the page again",
        "back": "Back",
    },
}
_PAGE = Markup(
    """<!doctype html>
<html lang="{language}" data-theme="light"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<link rel="stylesheet" href="{pico}">
<link rel="stylesheet" href="{sheet}"></head>
<body><main id="main"><section class="narrow"><p class="muted">{status}</p><h1>{title}</h1>
<p>{hint}</p>{details}{back}<p><a href="{home_url}">{home}</a></p></section></main></body></html>"""
)
_FIELD = Markup('<input type="hidden" name="{}" value="{}">')
_PASSWORD = Markup(
    '<label>{}<input type="password" name="{}" autocomplete="{}" maxlength="256" required></label>'
)
_FILE = Markup('<label>{}<input type="file" name="{}"></label>')
_AGAIN = Markup(
    """{kept}<form method="post" action="{action}"{kind}>{fields}<button type="submit">{again}</button></form>"""
)
_RELOAD = Markup('<p><a href="{url}">{words}</a></p>')


def wants_page(request: Request) -> bool:
    """Whether a person with a browser is asking."""
    path: str = request.scope["path"]  # never by way of the host, which may be anything here
    return "text/html" in request.headers.get("accept", "") and not path.startswith(
        ("/v1/", "/internal/")
    )


def home_of(request: Request) -> str:
    """The first page that exists for this person: the newspaper's for readers, identity's home for staff.

    A route that knows better sets ``request.state.home``; otherwise the application's own rule applies.
    """
    known: str = getattr(request.state, "home", "")
    rule = getattr(request.app.state, "home", None)
    return known or (rule(request) if rule else "/")


def _path(request: Request) -> str:
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{request.url.path}{query}"


def _stale(request: Request, error: StaleFormError) -> Markup:
    """A form that sends the same again under a fresh token, or, where that cannot be, the way to a fresh page."""
    words, sent = _LINKS[request_language(request)], error.sent
    if sent:
        fields = [(FORM_FIELD, error.forms.token(request)), *sent.fields]
        kept = [words["kept"]] if sent.fields else []
        kept += [words["secret"]] if sent.secrets else []
        kept += [words["file"]] if sent.files else []
        form = _AGAIN.format(
            kept=Markup("<p>{}</p>").format(" ".join(kept)) if kept else "",
            action=_path(request),
            kind=Markup(' enctype="multipart/form-data"') if sent.files else "",
            fields=Markup("").join(
                (
                    *(_FIELD.format(name, value) for name, value in fields),
                    *(
                        _PASSWORD.format(words.get(name, words["password"]), name, _fills(name))
                        for name in sent.secrets
                    ),
                    *(_FILE.format(words["chosen"], name) for name in sent.files),
                )
            ),
            again=words["again"],
        )
        return form + _back(request, words["reload"])
    return _back(request, words["reload"])


def _fills(name: str) -> str:
    """For password managers."""
    return "new-password" if name in {"new", "repeat"} else "current-password"


def _back(request: Request, words: str) -> Markup:
    """A link to the page of ours that the browser was on; nothing where it does not say."""
    try:
        came_from = urlsplit(request.headers.get("referer", ""))
    except ValueError:  # brackets that hold no address
        return Markup("")
    if came_from.netloc != request.headers.get("host") or not came_from.path.startswith("/"):
        return Markup("")
    query = f"?{came_from.query}" if came_from.query else ""
    return _RELOAD.format(url=f"/{came_from.path.lstrip('/')}{query}", words=words)


def _wrong_fields(error: ProblemError | None, translate: Translate) -> Markup:
    fields = Markup("").join(
        Markup("<li><strong>{}</strong>: {} {}</li>").format(
            wrong.field,
            translate(wrong.message, **wrong.values),
            translate(wrong.expected, **wrong.values),
        )
        for wrong in (error.errors if error else ())
    )
    return Markup("<ul>{}</ul>").format(fields) if fields else Markup("")


def error_page(
    request: Request,
    body: dict[str, Any],
    headers: dict[str, str],
    error: ProblemError | None = None,
) -> HTMLResponse:
    """The problem as a page, in the reader's language; fields that are wrong are named, what was typed is kept."""
    language, status = request_language(request), int(body["status"])
    words = _WORDS[language]
    title, hint = words.get(error.slug if error else "") or words.get(status) or words[0]
    known: Mapping[str, str] = getattr(request.app.state, "words", {})
    if error and status in _TOLD and error.detail and (language == "en" or error.detail in known):
        hint = known[error.detail] if language == "vi" else error.detail
    stale = error if isinstance(error, StaleFormError) else None
    html = _PAGE.format(
        language=language,
        status=status,
        title=title,
        hint=hint.replace("{limit}", f"{body.get('max_bytes', 0) / 2**20:.3g} MiB"),
        pico=asset_url(request, "/static/assets/pico.classless.min.css"),
        sheet=asset_url(request, "/static/shared/site.css"),
        details=_stale(request, stale)
        if stale
        else _wrong_fields(error, translator(known, language)),
        back="" if stale else _back(request, _LINKS[language]["back"]),
        home=_LINKS[language]["home"],
        home_url=home_of(request),
    )
    answer = HTMLResponse(html, status, headers={**headers, "Cache-Control": "private, no-store"})
    if stale:
        stale.forms.keep(request, answer)
    return answer


_CONFIRM_WORDS = {
    "vi": (
        "Hãy xác nhận đó là bạn",
        "Việc này cần bạn vừa xác nhận danh tính. Những gì đã nhập vẫn được giữ.",
        "1. Xác nhận (mở trong thẻ mới)",
        "2. Đã xác nhận: tiếp tục",
    ),
    "en": (
        "Confirm that it is you",
        "This needs a fresh proof of who you are. What you typed is kept.",
        "1. Confirm (opens a new tab)",
        "2. Confirmed: go on",
    ),
}


def confirmation_page(
    request: Request, location: str, fields: tuple[tuple[str, str], ...]
) -> HTMLResponse:
    """A form that needs a fresh proof: all that was sent waits here, while identity asks in another tab."""
    language = request_language(request)
    title, hint, first, second = _CONFIRM_WORDS[language]
    hidden = Markup("").join(
        Markup('<input type="hidden" name="{}" value="{}">').format(name, value)
        for name, value in fields
    )
    details = Markup(
        '<p><a href="{}" target="_blank" rel="noopener">{}</a></p>'
        '<form method="post" action="{}">{}<button type="submit">{}</button></form>'
    ).format(location, first, request.url.path, hidden, second)
    html = _PAGE.format(
        language=language,
        status="",
        title=title,
        hint=hint,
        details=details,
        back="",
        pico=asset_url(request, "/static/assets/pico.classless.min.css"),
        sheet=asset_url(request, "/static/shared/site.css"),
        home=_LINKS[language]["home"],
        home_url=home_of(request),
    )
    return HTMLResponse(html, 403, headers={"Cache-Control": "private, no-store"})
