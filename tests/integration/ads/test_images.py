"""Uploaded images: decoded with limits, written anew, off the event loop."""

from __future__ import annotations

import asyncio
import io
import time

import psutil
import pytest
from PIL import Image

from services.ads.creatives.adapters.pillow import AT_ONCE, WAITING, PillowImages
from services.ads.creatives.rules import WrongImageError
from shared.errors import UnavailableError
from tests.fixtures.ads import AGENCY, as_key, book
from tests.fixtures.images import CARRIERS, HOSTILE, exif_jpeg, picture, png

V1 = f"/v1/agencies/{AGENCY}"


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_hostile_image_is_refused_and_says_why(kind):
    content, words = HOSTILE[kind]
    with pytest.raises(WrongImageError, match=words):
        await PillowImages().recode(content, agency="a")


@pytest.mark.parametrize("kind", CARRIERS)
async def test_nothing_but_pixels_survives(kind):
    made = await PillowImages().recode(CARRIERS[kind], agency="a")
    for trace in (b"script", b"php", b"Exif", b"GPS", b"note", b"zipped"):
        assert trace not in made.content
    shown = Image.open(io.BytesIO(made.content))
    shown.load()
    assert not shown.getexif() and shown.size == (made.width, made.height)
    assert len(made.content) < 5_000


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (picture("PNG"), "image/png"),
        (picture("JPEG"), "image/jpeg"),
        (picture("WEBP"), "image/webp"),
        (picture("GIF", mode="P"), "image/png"),
        (picture("JPEG", mode="CMYK"), "image/jpeg"),
        (picture("PNG", mode="LA"), "image/png"),
    ],
)
async def test_the_formats_that_are_taken(content, content_type):
    made = await PillowImages().recode(content, agency="a")
    assert (made.content_type, made.width, made.height) == (content_type, 3, 2)


async def test_a_picture_lying_on_its_side_is_put_upright():
    made = await PillowImages().recode(exif_jpeg(), agency="a")
    assert (made.width, made.height) == (20, 30)


async def test_decoding_has_an_end_and_leaves_no_process(monkeypatch):
    started = time.monotonic()
    with pytest.raises(WrongImageError, match="too much work"):
        await PillowImages(seconds=0.001).recode(png(), agency="a")
    assert time.monotonic() - started < 10
    left = [p for p in psutil.Process().children() if "recode.py" in " ".join(p.cmdline())]
    assert left == []


async def test_the_queue_is_bounded():
    images = PillowImages()
    answers = await asyncio.gather(
        *(images.recode(png(), agency=f"{n}") for n in range(AT_ONCE + WAITING + 3)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, UnavailableError) for answer in answers) == 3
    assert sum(not isinstance(answer, BaseException) for answer in answers) == AT_ONCE + WAITING


async def test_an_upload_is_served_as_it_was_written_anew(ads):
    line = await book(ads.database)
    creative = (await ads.sql("SELECT id FROM creative WHERE line_id = $1", line))[0]["id"]
    url = f"{V1}/creatives/{creative}/image"
    sent = CARRIERS["JPEG with PHP, a position and script"]
    assert (await ads.client.put(url, content=sent, headers=as_key())).is_success
    digest = (await ads.sql("SELECT digest FROM creative_image"))[0]["digest"]
    served = await ads.client.get(f"/v1/creatives/{creative}/image/{digest}")
    assert served.headers["content-type"] == "image/jpeg"
    assert b"php" not in served.content and b"script" not in served.content
    for kind, (content, words) in HOSTILE.items():
        if len(content) > 1_048_576:
            continue  # the body's own limit answers
        refused = await ads.client.put(url, content=content, headers=as_key())
        assert refused.status_code == 422, kind
        assert refused.json()["errors"][0]["field"] == "image" and words in refused.text, kind
    assert (await ads.sql("SELECT digest FROM creative_image"))[0]["digest"] == digest
