"""The operator's agencies: what is wrong in the file is said with its place, before any service takes it in."""

from __future__ import annotations

import pytest

from infra.compose import configure
from services.paywall.settings import PaywallSettings
from shared.setup import SetUpError, read_file, website_problems
from tests.fixtures.production import production

GOOD = """
[[agencies]]
id = "bao-hung-yen"
name = "Báo Hưng Yên"
website = "https://www.baohungyen.vn"
segments = ["print", "online"]
[[agencies.plans]]
code = "doc-bao"
name_vi = "Đọc báo"
name_en = "Reading"
prices = {month = 59000}
[[agencies.plans]]
code = "muoi-bai"
kind = "bundle"
days = 90
uses = 10
name_vi = "10 bài"
name_en = "10 articles"
prices = {once = 20000}
[[agencies.plans]]
code = "ung-ho"
kind = "contribution"
least_vnd = 10000
most_vnd = 20000000
suggested_vnd = [50000, 100000]
name_vi = "Ủng hộ tòa soạn"
name_en = "Support the newsroom"
prices = {once = 50000}
[[lineage]]
predecessor = "bao-thai-binh"
successor = "bao-hung-yen"
effective_on = 2025-07-01
segments = ["print"]
[[targets]]
agency = "bao-hung-yen"
deadline = 2030-12-31
ratio = "0.20"
"""


def read(tmp_path, text):
    path = tmp_path / "agencies.toml"
    path.write_text(text)
    return read_file(path)


def test_the_file_of_the_guide_is_understood(tmp_path):
    file = read(tmp_path, GOOD)
    assert file.agencies[0].plans[0].prices == {"month": 59_000}
    assert file.agencies[0].time_zone == "Asia/Ho_Chi_Minh"


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('"bao-hung-yen"\nname', '"Báo Hưng Yên"\nname', "agencies.0.id"),
        ("month = 59000", "fortnight = 59000", "prices.fortnight"),
        ("month = 59000", "month = 0", "prices.month"),
        ("month = 59000", "once = 59000", "agencies.0.plans.0: a period has prices for periods"),
        ("days = 90\n", "", "agencies.0.plans.1: days belong to"),
        ("uses = 10\n", "", "agencies.0.plans.1: uses belong to"),
        ("least_vnd = 10000\n", "", "agencies.0.plans.2: least_vnd, most_vnd"),
        ("[50000, 100000]", "[50000, 900]", "agencies.0.plans.2: what is suggested"),
        ("segments = [", 'time_zone = "Hanoi"\nsegments = [', "agencies.0.time_zone"),
        ('"0.20"', '"20 %"', "targets.0.ratio"),
        ("website =", "web_site =", "agencies.0.web_site"),
        ("[[targets]]", "[[targets]", "line"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, old, new, place):
    with pytest.raises(SetUpError, match=place):
        read(tmp_path, GOOD.replace(old, new, 1))


def test_a_file_that_is_not_there_is_said_in_one_line(tmp_path):
    with pytest.raises(SetUpError, match="no such file"):
        read_file(tmp_path / "nothing.toml")


@pytest.mark.parametrize(
    ("website", "complaint"),
    [
        ("https://www.baohungyen.vn", None),
        ("", None),
        ("http://www.baohungyen.vn", "https"),
        ("https://www.daisonghong.vn", "one site"),
        ("http://127.0.0.1:8000", "https"),
    ],
)
def test_a_website_whose_readers_would_not_be_recognised_is_refused(tmp_path, website, complaint):
    file = read(tmp_path, GOOD.replace("https://www.baohungyen.vn", website))
    problems = website_problems(file, PaywallSettings(**production(PaywallSettings)))
    assert bool(problems) == (complaint is not None)
    assert complaint is None or complaint in problems[0]
    assert website_problems(file, PaywallSettings(environment="local")) == []


def test_the_first_file_that_make_up_writes_is_understood(tmp_path):
    configure.configure(tmp_path, {}, demo=True, ask=None)
    assert read_file(tmp_path / "agencies.toml").agencies[0].id == "bao-hung-yen"
