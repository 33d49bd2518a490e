"""CSV downloads: nothing a stranger wrote becomes a formula or another cell."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audit import WORDS, Action
from shared.audit.pages import FOLDER
from shared.audit.rules import changes, network_prefix
from shared.web.i18n import load_catalogues
from shared.web.spreadsheet import csv_answer, csv_lines, safe_cell


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        "+1",
        "-1",
        "@x",
        "\t=1",
        "\r=1",
        "\n=1",
        "＝1",
        "－1",
        "＋1",
        "＠x",
        " =1",
        "\u00a0=1",
    ],
)
def test_what_looks_like_a_formula_is_text(cell):
    assert safe_cell(cell) == f"'{cell}"


def test_numbers_and_ordinary_words_stay():
    assert [safe_cell(-5), safe_cell("foo;=1+1"), safe_cell("Báo")] == ["-5", "foo;=1+1", "Báo"]
    assert csv_lines([["foo;=1+1", 7]]) == '"foo;=1+1";"7"\r\n'


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_a_row_stays_one_row_whatever_is_in_it(cells):
    [row] = csv.reader(io.StringIO(csv_lines([cells]), newline=""), delimiter=";")
    assert len(row) == len(cells)


def test_excel_with_vietnamese_settings_reads_the_file():
    answer = csv_answer("x.csv", [["Báo", 1]])
    assert answer.body.decode("utf-8").startswith('\ufeff"Báo";')
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="x.csv"'


def test_a_cell_has_no_nul_and_hides_no_formula_behind_one():
    assert safe_cell("a\x00b") == "ab"
    assert safe_cell("\x00=1") == "'=1"


def test_every_action_has_words_in_both_languages():
    assert set(WORDS) == set(Action)
    assert set(WORDS.values()) <= set(load_catalogues([FOLDER / "locale"]))


def test_networks_are_shortened():
    assert network_prefix("203.0.113.77") == "203.0.113.0/24"
    assert network_prefix("2001:db8:1:2:3::4") == "2001:db8:1::/48"
    assert network_prefix("::ffff:203.0.113.77") == "203.0.113.0/24"
    assert network_prefix("testclient") == ""


def test_changes_are_shown_leaf_by_leaf():
    told = list(changes({"a": {"b": 1, "c": 2}, "l": [1]}, {"a": {"b": 1, "c": 3}, "l": [1, 2]}))
    assert told == [("a.c", "2", "3"), ("l", "1", "1, 2")]
