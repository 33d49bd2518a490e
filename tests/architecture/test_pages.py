"""Pages: nothing the content security policy forbids, and every word in both languages."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from jinja2 import Environment
from jinja2.ext import extract_from_ast

from tests.architecture.source import REPOSITORY, files, relative, report, tree

FORBIDDEN = {
    "an inline style": re.compile(r"<style\b|\sstyle\s*=", re.IGNORECASE),
    "an inline script": re.compile(
        r"<script\b(?![^>]*\bsrc\s*=)(?![^>]*type\s*=\s*[\"']application/(?:ld\+)?json)",
        re.IGNORECASE,
    ),
    "an event attribute": re.compile(r"<[^>]*\son[a-z]+\s*=", re.IGNORECASE),
    "a javascript: address": re.compile(r"javascript:", re.IGNORECASE),
    "something of another host": re.compile(
        r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)\s*=\s*[\"']?(?:https?:)?//",
        re.IGNORECASE,
    ),
}
#: A static file named without its digest would be asked for again with every page.
PLAIN_STATIC = re.compile(r"(?:src|href)\s*=\s*[\"']/static/")
PARSER = Environment(autoescape=True)
JINJA = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)


#: Shown in mail programs, which read no style sheet, and on ``/dev/mail`` in a sandbox of its own policy.
BY_MAIL = {"services/billing/letters/letter.html": {"an inline style"}}


def offences(html: str) -> list[str]:
    """What the policy of shared/web/app.py would refuse, with its line."""
    html = JINJA.sub(lambda m: "\n" * m[0].count("\n"), html)  # lines keep their numbers
    return [
        f"{html.count(chr(10), 0, match.start()) + 1}: {what}"
        for what, pattern in FORBIDDEN.items()
        for match in pattern.finditer(html)
    ]


def template_words(source: str) -> set[str]:
    """Texts a template hands to ``_``."""
    found = extract_from_ast(PARSER.parse(source), gettext_functions=("_",), babel_style=False)
    return {
        text
        for _, _, message in found
        for text in (message if isinstance(message, tuple) else (message,))
        if isinstance(text, str)
    }


#: Refusals whose reason an error page tells.
TOLD = ("ConflictError", "InvalidInputError", "PreconditionError")


def python_words(source: str) -> set[str]:
    """First texts of ``_("…")``, ``translate("…")`` and ``pages.translate(request, "…")``."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if called in ("_", "translate", *TOLD):
                texts = [a.value for a in node.args[:2] if isinstance(a, ast.Constant)]
                found |= {text for text in texts[:1] if isinstance(text, str)}
    return found


def package_of(path: Path) -> Path:
    """The service (or part of shared, or of infra) a file belongs to."""
    return REPOSITORY.joinpath(*path.relative_to(REPOSITORY).parts[:2])


@cache
def vietnamese(package: Path) -> frozenset[str]:
    """Texts with a Vietnamese entry in the package's catalogues (and the shared one)."""
    words: set[str] = set()
    for root in (package, REPOSITORY / "shared" / "web"):
        for catalogue in root.rglob("locale/vi.po"):
            with catalogue.open("rb") as file:
                words |= {
                    str(message.id)
                    for message in read_po(file, locale="vi")
                    if message.id and message.string and not message.fuzzy
                }
    return frozenset(words)


def untranslated(path: Path) -> list[str]:
    source = path.read_text(encoding="utf-8")
    words = python_words(source) if path.suffix == ".py" else template_words(source)
    return sorted(words - vietnamese(package_of(path)))


def test_templates_have_nothing_the_policy_forbids():
    report(
        "The policy allows no inline script or style and nothing of other hosts: use a class of site.css, "
        "and a file under static/.",
        [
            f"{relative(path)}:{line}"
            for path in files(".html")
            for line in offences(path.read_text(encoding="utf-8"))
            if line.split(": ", 1)[1] not in BY_MAIL.get(relative(path), ())
        ],
    )


def test_a_file_is_chosen_where_its_size_is_checked():
    report(
        "Take file_input of file_input.html: too large a file is then told of before the form is sent and lost.",
        [
            relative(path)
            for path in files(".html")
            if 'type="file"' in path.read_text(encoding="utf-8") and path.name != "file_input.html"
        ],
    )


def test_static_files_are_named_with_their_digest():
    report(
        "Write {{ asset('/static/…') }}: browsers then keep the file until it changes.",
        [
            relative(path)
            for path in files(".html")
            if PLAIN_STATIC.search(path.read_text(encoding="utf-8"))
        ],
    )


def test_every_text_on_screen_has_its_vietnamese():
    report(
        "Add the text with its Vietnamese (words of the glossary) to the package's locale/vi.po.",
        [
            f"{relative(path)}: {text!r}"
            for path in [*files(".html"), *files(".py", folders=("services", "shared"))]
            for text in untranslated(path)
        ],
    )


def test_catalogues_hold_no_text_that_nobody_shows():
    shown: set[str] = set()
    for path in files(".html"):
        shown |= template_words(path.read_text(encoding="utf-8"))
    for path in files(".py"):
        shown |= {
            n.value
            for n in ast.walk(tree(path))
            if isinstance(n, ast.Constant) and isinstance(n.value, str)
        }
    found = []
    for catalogue in files(".po"):
        with catalogue.open("rb") as file:
            for message in read_po(file, locale="vi"):
                texts = message.id if isinstance(message.id, tuple) else (message.id,)
                found += [
                    f"{relative(catalogue)}: {one!r}" for one in texts if one not in shown | {""}
                ]
    report("Take the text out of the catalogue, or show it.", found)


def test_catalogues_keep_the_placeholders():
    found = []
    for folder in ("services", "shared", "infra"):
        for catalogue in sorted((REPOSITORY / folder).rglob("locale/vi.po")):
            with catalogue.open("rb") as file:
                for message in read_po(file, locale="vi"):
                    if not isinstance(message.id, str) or not message.string:
                        continue
                    names = [
                        set(re.findall(r"\{(\w+)", t)) for t in (message.id, str(message.string))
                    ]
                    if names[0] != names[1]:
                        found.append(f"{relative(catalogue)}: {message.id!r}")
    report("The Vietnamese needs the same {placeholders} as the English.", found)


@pytest.mark.parametrize(
    ("html", "caught"),
    [
        ('<p style="color:red">', True),
        ("<style>p{}</style>", True),
        ("<script>alert(1)</script>", True),
        ('<button onclick="x()">', True),
        ('<a href="javascript:x()">', True),
        ('<script src="https://elsewhere.vn/x.js"></script>', True),
        ('<img src="//elsewhere.vn/x.png">', True),
        ('<script src="/static/x.js" defer></script><a href="https://elsewhere.vn">x</a>', False),
        ('<script type="application/json" id="data">{}</script>', False),
        ('<option{% if one == two %} selected{% endif %} value="{{ on = 1 }}">', False),
        ("<p class='style'>on = 1</p>{# <script>no</script> #}", False),
    ],
)
def test_the_check_of_templates_catches(html, caught):
    assert bool(offences(html)) is caught


def test_the_words_of_templates_and_code_are_found():
    template = """{{ _("One") }} {% set x = _('Two {n}', n=3) %} {{ f(_("Three")) }} {{ x }}"""
    assert template_words(template) == {"One", "Two {n}", "Three"}
    code = 'a = _("One"); b = pages.translate(request, "Two"); c = translate("Three", n=1); d = f("No")'
    assert python_words(code) == {"One", "Two", "Three"}
