"""Texts in addresses that no column can hold: 422 that names the field, never 500."""

from __future__ import annotations

import pytest

from tests.integration.billing.world import AGENCY, World


@pytest.mark.parametrize("sent", ["%00", "cs_%00", "x" * 5_000])
async def test_a_session_id_that_no_text_column_holds_is_refused_by_name(world: World, sent: str):
    reader = await world.signed_in()
    answer = await reader.client.get(f"/r/{AGENCY}/checkout/done?session_id={sent}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "session_id"
