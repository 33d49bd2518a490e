"""Values in requests that many routes take."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.web.params import Instant

INSTANT = TypeAdapter(Instant)


@pytest.mark.parametrize(
    "written",
    [
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
        "2026-11-23T00:00:00",
        "2026-11-23",
        "1795392000",
    ],
)
def test_an_instant_without_zone_or_place_in_the_calendar_is_refused(written):
    with pytest.raises(ValidationError):
        INSTANT.validate_python(written)


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2026-11-23T00:00:00Z", datetime(2026, 11, 23, tzinfo=UTC)),
        ("2026-11-23T00:00:00+07:00", datetime(2026, 11, 22, 17, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_an_instant_is_in_utc_from_here_on(written, instant):
    found = INSTANT.validate_python(written)
    assert found == instant and found.tzinfo is UTC
