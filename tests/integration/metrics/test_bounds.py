"""Dates and texts that no calendar and no column can hold: 422 that names the field, never 500."""

from __future__ import annotations

import pytest

from tests.fixtures.finance import running_finance
from tests.fixtures.identity import FINANCE


@pytest.fixture
async def http(create_database, template_database):
    async with (
        running_finance(create_database, template_database) as finance,
        await finance.signed_in(FINANCE) as browser,
    ):
        yield browser


async def test_days_out_of_every_calendar_are_refused_by_name(http):
    for path in ("/finance/bao-hung-yen", "/v1/agencies/bao-hung-yen/growth"):
        for day in (
            "0001-01-01",
            "0001-01-27",
            "1999-12-31",
            "2200-01-01",
            "9999-12-31",
            "x",
            "1700006400",
            "0",
        ):
            answer = await http.get(path, params={"as_of": day})
            assert answer.status_code == 422, (path, day)
            assert answer.json()["errors"][0]["field"] == "as_of"
        assert (await http.get(path, params={"as_of": "2000-01-01"})).status_code == 200
