"""The page a person sees when something is refused; programs get problem+json.

A browser says that it wants a page (``Accept: text/html``); routes below ``/v1/`` and ``/internal/`` are for programs.
"""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from shared.web.i18n import request_language

_WORDS = {
    "vi": {
        403: ("Bạn không có quyền xem trang này", "Tài khoản của bạn thiếu vai trò cần thiết."),
        404: ("Không có gì ở đây", "Địa chỉ sai, hoặc nội dung thuộc cơ quan khác."),
        409: ("Chưa thực hiện được", "Dữ liệu vừa thay đổi. Hãy tải lại trang rồi thử lại."),
        412: ("Chưa thực hiện được", "Dữ liệu vừa thay đổi. Hãy tải lại trang rồi thử lại."),
        413: ("Tệp quá lớn", "Hãy chọn tệp nhỏ hơn."),
        422: ("Dữ liệu chưa đúng", "Hãy kiểm tra lại những gì đã nhập."),
        429: ("Quá nhiều yêu cầu", "Hãy thử lại sau ít phút."),
        503: ("Hệ thống đang bận", "Hãy thử lại sau giây lát; chưa có gì bị mất."),
        0: ("Có lỗi xảy ra", "Hãy tải lại trang; nếu vẫn lỗi, xin báo cho chúng tôi."),
    },
    "en": {
        403: ("You may not see this page", "Your account lacks the role it needs."),
        404: ("There is nothing here", "The address is wrong, or belongs to another agency."),
        409: ("This could not be done", "Something has just changed. Load the page and try again."),
        412: ("This could not be done", "Something has just changed. Load the page and try again."),
        413: ("The file is too large", "Choose a smaller one."),
        422: ("The input is not valid", "Look at what you entered again."),
        429: ("Too many requests", "Try again in a few minutes."),
        503: ("The system is busy", "Try again in a moment; nothing is lost."),
        0: ("Something went wrong", "Load the page again; if it stays, please tell us."),
    },
}
_PAGE = Markup(
    """<!doctype html>
<html lang="{language}" data-theme="light"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<link rel="stylesheet" href="/static/assets/pico.classless.min.css">
<link rel="stylesheet" href="/static/shared/site.css"></head>
<body><main id="main"><section class="narrow"><p class="muted">{status}</p><h1>{title}</h1>
<p>{hint}</p>{details}<p><a href="/">{home}</a></p></section></main></body></html>"""
)


def wants_page(request: Request) -> bool:
    """Whether a person with a browser is asking."""
    path = request.url.path
    return "text/html" in request.headers.get("accept", "") and not path.startswith(
        ("/v1/", "/internal/")
    )


def error_page(request: Request, body: dict[str, Any], headers: dict[str, str]) -> HTMLResponse:
    """The problem as a page, in the reader's language; fields that are wrong are named."""
    language, status = request_language(request), int(body["status"])
    words = _WORDS[language]
    title, hint = words.get(status, words[0])
    fields = Markup("").join(
        Markup("<li><strong>{}</strong>: {} {}</li>").format(
            error["field"], error["message"], error.get("expected", "")
        )
        for error in body.get("errors", ())
    )
    html = _PAGE.format(
        language=language,
        status=status,
        title=title,
        hint=hint,
        details=Markup("<ul>{}</ul>").format(fields) if fields else Markup(""),
        home="Trang đầu" if language == "vi" else "Home",
    )
    return HTMLResponse(html, status, headers={**headers, "Cache-Control": "private, no-store"})
