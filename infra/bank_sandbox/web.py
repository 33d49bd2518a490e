"""The bank's templates and files; headers and languages are those of all pages of the sandbox."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from infra.stripe_sandbox.web import answer
from infra.stripe_sandbox.words import dong, language
from shared.web.assets import Assets

from .bank import grouped, local_time
from .words import WORDS

HERE = Path(__file__).parent
ASSETS = Assets({"/bank/static": HERE / "static"})

_templates = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals["asset"] = ASSETS.url
_templates.filters |= {"dong": dong, "grouped": grouped, "local_time": local_time}


def lang_of(request: Request) -> str:
    """What the person asked for, else Vietnamese."""
    return language(request.query_params.get("lang"), None)


def page(request: Request, template: str, status: int = 200, **values: object) -> HTMLResponse:
    """A page of the bank, in the language that is asked for."""
    lang = lang_of(request)
    other = "en" if lang == "vi" else "vi"
    html = _templates.get_template(template).render(
        t=WORDS[lang],
        lang=lang,
        other=other,
        switched=request.url.include_query_params(lang=other).query,
        **values,
    )
    return answer(html, status)


def notice(request: Request, name: str, status: int) -> HTMLResponse:
    """A page that only says something."""
    words = WORDS[lang_of(request)]
    return page(
        request, "notice.html", status, title=words[f"{name}_title"], text=words[f"{name}_text"]
    )
