"""Every text of the console has its Vietnamese."""

from __future__ import annotations

import ast
import inspect
import re
from datetime import date
from pathlib import Path

from services.ads.bookings.rules import Action, Status, line_problems
from services.ads.console import views
from services.ads.creatives.rules import THEMES, click_url_problem
from shared.web import pages
from shared.web.i18n import load_catalogues

CONSOLE = Path(views.__file__).parent
WORDS = load_catalogues([pages.SHARED_FOLDER / "locale", CONSOLE / "locale"])


def test_every_text_of_a_template_is_translated():
    texts = set()
    for template in (CONSOLE / "templates").glob("*.html"):
        source = template.read_text(encoding="utf-8")
        texts.update(re.findall(r"""\b_\("([^"]+)"|\b_\('([^']+)'""", source))
    found = {double or single for double, single in texts}
    assert len(found) > 60
    assert found - set(WORDS) == set()


def refusals() -> set[str]:
    """What the console's fields and images may be refused with: texts without figures, which the catalogue can hold."""
    found = {"It has no price on the first day", "a product with a rate"}  # a tuple in bookings
    for path in CONSOLE.parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", "")
                texts = {
                    "FieldError": node.args[1:3],
                    "WrongImageError": node.args,
                    "Refused": node.args,
                }.get(name, [])
                if path.parent.name != "catalogue":  # by command and API only: no page
                    assert not any(isinstance(text, ast.JoinedStr) for text in texts), path
                found |= {text.value for text in texts if isinstance(text, ast.Constant)}
    tree = ast.parse(inspect.getsource(click_url_problem))
    found |= {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and str(node.value).startswith("The ")
    }
    return found


def test_every_state_step_colour_and_problem_is_translated():
    today = date(2026, 12, 1)
    problems = [
        *line_problems(date(2020, 1, 1), date(2019, 1, 1), 0, today),
        *line_problems(today, date(2029, 1, 1), 1, today),
        *line_problems(date(2030, 1, 1), date(2030, 1, 1), 1, today),
    ]
    texts = {
        *views.STATUS_WORDS.values(),
        *views.CHANGE_WORDS.values(),
        *views.THEME_WORDS.values(),
        *(text for _, message, expected, _ in problems for text in (message, expected)),
        *refusals(),
    }
    assert texts - set(WORDS) == set()
    assert set(views.STATUS_WORDS) == set(views.BADGES) == set(Status)
    assert {str(action) for action in Action} <= set(views.CHANGE_WORDS)
    assert set(views.THEME_WORDS) == set(THEMES)


def test_placeholders_survive_translation():
    for english, vietnamese in WORDS.items():
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", vietnamese))
