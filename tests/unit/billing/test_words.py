"""Every text on billing's pages has its Vietnamese."""

from __future__ import annotations

import ast
import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from services.billing.insight import figures
from services.billing.insight import pages as insight_pages
from services.billing.insight.rules import (
    MOVEMENTS,
    WAYS,
    Churn,
    Dunning,
    Followed,
    Month,
    Paid,
    ReaderRevenue,
    Recurring,
)
from services.billing.invariants import catalogue
from services.billing.invoices import pdf
from services.billing.passwords import pages as password_pages
from services.billing.phones.words import NO_NUMBER
from services.billing.readers.service import CONSENTS
from services.billing.staff import books_pages, credits_pages, invoice_pages
from services.billing.statements import service as statements
from services.billing.transfers import statement
from services.billing.transfers.rules import Reason
from shared.web.i18n import load_catalogues

BILLING = Path(catalogue.__file__).parents[1]
SHARED = BILLING.parents[1] / "shared" / "web"
NOON = datetime(2026, 11, 1, tzinfo=UTC)
WORDS = load_catalogues([SHARED / "locale", BILLING / "locale"])
IN_TEMPLATES = {
    (path.name, text)
    for path in (BILLING / "templates").glob("*.html")
    for text in re.findall(r'_\(\s*"([^"]+)"', path.read_text(encoding="utf-8"))
}


def said(source: str) -> set[str]:
    """Sentences kept in a name (``problem``, or in capitals) or handed to ``say``."""
    found: list[ast.expr] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            found += [node.value] if name == "problem" or name.isupper() else []
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say":
            found += node.args[1:2]
    texts = [one.value for one in found if isinstance(one, ast.Constant)]
    return {text for text in texts if isinstance(text, str) and " " in text}


IN_CODE = {
    (path.name, text)
    for path in BILLING.rglob("*pages.py")
    for text in said(path.read_text(encoding="utf-8"))
}
BY_MAIL = {
    (path.name, text)
    for path in (BILLING / "letters").glob("*.py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_"
    for text in [getattr(node.args[0], "value", None)]
    if isinstance(text, str)
}
ON_PAPER = {
    ("pdf.py", text)
    for text in re.findall(r'\bsay\(\s*"([^"]+)"', Path(pdf.__file__).read_text(encoding="utf-8"))
} | {("pdf.py", text) for text in pdf.HEADINGS}
WHY_REFUSED = {("numbers", text) for text in NO_NUMBER.values()}
IN_FILES = {
    ("columns", column.title)
    for columns in (
        invoice_pages.COLUMNS,
        books_pages.JOURNAL_COLUMNS,
        books_pages.BALANCE_COLUMNS,
        insight_pages.COLUMNS,
    )
    for column in columns
}


def insight_figures() -> set[str]:
    """Every line's words, of a month in which nothing happened."""
    nothing = Month(date(2026, 11, 1), date(2026, 11, 30), NOON, NOON, over=True, settled=True)
    found = ReaderRevenue(
        nothing,
        Recurring(0, dict.fromkeys(MOVEMENTS, 0), 0, 0, 0),
        Paid(0, 0, 0, 0),
        dict.fromkeys(WAYS, Followed()),
        Churn(0, 0),
        Followed(),
        Dunning(0, 0, 0, 0),
        (),
    )
    return {one.words for one in figures.figures(found)}


FIGURES = {
    *figures.GROUPS,
    *figures.GROUPS.values(),
    *(figures.COHORTS, figures.COHORTS_HELP),
    *figures.CAUSES,
    *figures.MOVED.values(),
    *insight_pages.UNITS.values(),
    *("For each active paid reader (ARPU)", *insight_figures()),
}
SPOKEN = {
    *(("figures of reader revenue", words) for words in FIGURES),
    *(("consents", words) for _, words in CONSENTS.values()),
    *(("a password's problems", words) for _, words in password_pages.PROBLEMS.values()),
    *(("invariants", one.statement) for one in catalogue.ALL),
    *(("reasons of a credit", words) for words in credits_pages.REASONS.values()),
    *(("forms of a credit", words) for words in credits_pages.SAID),
    *(("columns of a download", column.title) for column in credits_pages.COLUMNS),
    *(
        ("a statement's problems", words)
        for module in (statement, statements)
        for name, words in vars(module).items()
        if name.startswith("EXPECTED_")
    ),
}


def test_every_reason_of_a_credit_has_its_sentence():
    assert set(credits_pages.REASONS) == set(Reason)


def test_the_texts_are_found():
    assert len(IN_TEMPLATES) > 80
    assert len(IN_CODE) >= 9
    assert len(BY_MAIL) > 55
    assert len(ON_PAPER) > 12


@pytest.mark.parametrize(
    ("place", "english"),
    sorted(IN_TEMPLATES | IN_CODE | BY_MAIL | ON_PAPER | WHY_REFUSED | IN_FILES | SPOKEN),
)
def test_a_text_has_its_vietnamese_with_the_same_placeholders(place, english):
    vietnamese = WORDS.get(english, "")
    assert vietnamese, f"{place}: {english!r} is missing in locale/vi.po"
    placeholders = r"\{\w+\}"
    assert set(re.findall(placeholders, english)) == set(re.findall(placeholders, vietnamese))
