"""The story of the product, told against a freshly started stack (``make story``)."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser

from infra.local.assets import ensure_assets
from infra.local.ports import free_block
from infra.local.processes import PORTS_USED
from infra.local.stack import LocalStack
from tests.e2e.story import advertising, books, reading, target
from tests.e2e.story.teller import PHONE, Story


@pytest.mark.story
@pytest.mark.timeout(420)
async def test_a_reader_pays_an_ad_runs_and_the_target_moves(
    tmp_path: Path, browser: Browser
) -> None:
    print()
    ensure_assets()
    started = time.perf_counter()
    with LocalStack(tmp_path / "local", free_block(PORTS_USED)) as stack:
        print(f"✓  0  Everything started from nothing  ({time.perf_counter() - started:.1f} s)")
        async with httpx.AsyncClient(timeout=30, headers={"User-Agent": PHONE}) as http:
            story = Story(stack, browser, http)
            await books.remember_gauges(story)
            await reading.tell(story)
            await books.tell(story)
            await advertising.tell(story)
            await target.tell(story)
        print(
            f"The story holds: {story.steps} steps, {time.perf_counter() - started:.0f} s",
            flush=True,
        )
