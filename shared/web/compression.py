"""gzip for pages. (Static files are compressed once, when they are read: ``shared.web.assets``.)

Compressing a page that holds a secret beside text of an attacker's choosing lets the attacker guess the secret by the
answer's length (BREACH, 2013). The only secrets in our pages are form tokens, and those are masked anew in every answer
(``shared.web.csrf``), so that no two answers hold the same bytes. JSON (the reader's session with its token) is small
and never compressed.
"""

from __future__ import annotations

import gzip

from starlette.requests import Request
from starlette.responses import Response

LEAST_BYTES = 1_000  # below, the headers outweigh what is saved
LEVEL = 5


def accepts_gzip(request: Request) -> bool:
    """Whether ``Accept-Encoding`` names gzip, and not only to refuse it (``q=0``)."""
    for part in request.headers.get("accept-encoding", "").split(","):
        coding, _, weight = part.strip().partition(";")
        if coding.strip().lower() == "gzip":
            return weight.replace(" ", "").lower() not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def compress(request: Request, answer: Response) -> None:
    """Compress the body in place where the browser takes gzip and the page is worth it."""
    answer.headers.add_vary_header("Accept-Encoding")
    body = bytes(answer.body)
    if len(body) < LEAST_BYTES or not accepts_gzip(request):
        return
    answer.body = gzip.compress(body, LEVEL, mtime=0)
    answer.headers["Content-Encoding"] = "gzip"
    answer.headers["Content-Length"] = str(len(answer.body))
