"""Words on screen: Vietnamese by default, English one click away.

Templates and code write the English text, ``_("Subscribe")``; the Vietnamese is in a gettext catalogue
(``locale/vi.po`` beside the package), read at start. A test fails when a text used has no translation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from babel.dates import format_date as babel_date
from babel.messages.pofile import read_po
from starlette.requests import Request
from starlette.responses import Response

from shared.clock import VIETNAM

LANGUAGES = ("vi", "en")
DEFAULT_LANGUAGE = "vi"
LANGUAGE_COOKIE = "pr_lang"

Translate = Callable[..., str]


def load_catalogues(folders: Sequence[Path]) -> dict[str, str]:
    """English → Vietnamese from every ``vi.po`` in the given folders; later ones win. A file is read once in a process."""
    words: dict[str, str] = {}
    for folder in folders:
        words |= _catalogue(folder / "vi.po")
    return words


@cache
def _catalogue(path: Path) -> Mapping[str, str]:
    if not path.exists():
        return {}
    with path.open("rb") as file:
        return {
            message.id: str(message.string)
            for message in read_po(file, locale="vi")
            if isinstance(message.id, str) and message.id and message.string
        }


def translator(words: Mapping[str, str], language: str) -> Translate:
    """``_("… {n} …", n=3)`` in one language."""

    def translate(english: str, **values: object) -> str:
        found = words.get(english, english) if language == "vi" else english
        return found.format(**values) if values else found

    return translate


def request_language(request: Request) -> str:
    """``?lang=``, else the cookie, else Vietnamese."""
    asked = request.query_params.get("lang") or request.cookies.get(LANGUAGE_COOKIE, "")
    return asked if asked in LANGUAGES else DEFAULT_LANGUAGE


def remember_language(request: Request, answer: Response, language: str, *, secure: bool) -> None:
    """Keep the language that a link asked for (``?lang=``), for a year."""
    if request.query_params.get("lang") in LANGUAGES:
        answer.set_cookie(
            LANGUAGE_COOKIE,
            language,
            max_age=31_536_000,
            samesite="lax",
            httponly=True,
            secure=secure,
        )


def show_date(day: date, language: str) -> str:
    """``dd/mm/yyyy`` in Vietnamese, ``d MMM yyyy`` in English."""
    pattern = "dd/MM/yyyy" if language == "vi" else "d MMM yyyy"
    return babel_date(day, format=pattern, locale="vi" if language == "vi" else "en_GB")


def show_datetime(at: datetime, language: str, zone: ZoneInfo = VIETNAM) -> str:
    """Date and 24-hour time in the given zone."""
    local = at.astimezone(zone)
    return f"{show_date(local.date(), language)} {local:%H:%M}"
