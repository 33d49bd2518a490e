"""What finance sees and downloads."""

from __future__ import annotations

import pytest

from shared.clock import VIETNAM, local_date
from shared.metrics.baseline import rules as baseline
from shared.metrics.entries import rules as entries
from tests.fixtures.finance import running_finance
from tests.fixtures.identity import FINANCE

PAGES = "/finance/bao-hung-yen"


@pytest.mark.parametrize("kind", ["imports", "baseline"])
async def test_a_downloaded_template_is_taken_as_it_is(create_database, template_database, kind):
    async with running_finance(create_database, template_database) as finance:
        async with await finance.signed_in(FINANCE) as http:
            answer = await http.get(f"{PAGES}/{kind}/template.csv")
        today = local_date(finance.clock.now(), VIETNAM)
    assert answer.status_code == 200
    if kind == "imports":
        read = entries.parse(answer.content, today)
    else:
        read = baseline.parse(answer.content)
    assert read.rows
    assert not read.problems


async def test_predecessors_are_called_by_their_names(create_database, template_database):
    async with (
        running_finance(create_database, template_database) as finance,
        await finance.signed_in(FINANCE) as http,
    ):
        for page in (PAGES, f"{PAGES}/baseline"):
            shown = (await http.get(page)).text
            assert "Báo Thái Bình, Đài Phát thanh và Truyền hình Thái Bình" in shown
