"""A program of its own: an uploaded image on the standard input, the same picture, newly written, on the output.

It runs with the limits of ``shared.apart``, so that whatever a decoder does with hostile bytes ends here. It imports
nothing of the project. The answer is one line of JSON and the
bytes: ``{"content_type", "width", "height"}``, or ``{"problem"}`` alone.

Nothing but pixels survives: EXIF with its positions, comments, colour profiles, bytes behind the image.
"""

from __future__ import annotations

import io
import json
import sys
import warnings

from PIL import Image, ImageOps

FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
QUALITY = 88


class Refused(Exception):
    """Why an image is not taken, as a whole sentence that the catalogue has: without figures."""


def recode(
    content: bytes, *, max_side: int, max_pixels: int, max_bytes: int
) -> tuple[str, int, int, bytes]:
    """Content type, width, height and the new bytes. Raises :class:`Refused`."""
    Image.MAX_IMAGE_PIXELS = max_pixels
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        # The declared size is looked at before a pixel is made of it.
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Refused("The image has too many pixels") from None
    except (
        Exception
    ):  # a decoder fed with hostile bytes may raise anything: whatever it is, no image came of it
        raise Refused("The file is not a PNG, JPEG, GIF or WebP image") from None
    _check_size(image, max_side, max_pixels)
    if getattr(image, "n_frames", 1) > 1:
        raise Refused("The file is an animation: only still images are taken")
    kind = image.format
    try:
        image.load()
        upright = ImageOps.exif_transpose(image)
        pixels = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    except Exception:  # as above
        raise Refused("The image is damaged or cut short") from None
    pixels.info.clear()
    _check_size(pixels, max_side, max_pixels)
    out = io.BytesIO()
    if kind == "JPEG":
        pixels.convert("RGB").save(out, "JPEG", quality=QUALITY, optimize=True)
    elif kind == "WEBP":
        pixels.save(out, "WEBP", quality=QUALITY)
    else:
        kind = "PNG"
        pixels.save(out, "PNG", optimize=True)
    if out.tell() > max_bytes:
        raise Refused("The image is too large once its pixels are written anew")
    return f"image/{kind.lower()}", pixels.width, pixels.height, out.getvalue()


def _check_size(image: Image.Image, max_side: int, max_pixels: int) -> None:
    width, height = image.size
    if not (1 <= width <= max_side and 1 <= height <= max_side):
        raise Refused("The image is too wide or too high")
    if width * height > max_pixels:
        raise Refused("The image has too many pixels")


def main() -> None:
    max_side, max_pixels, max_bytes = (int(word) for word in sys.argv[1:4])
    try:
        content_type, width, height, written = recode(
            sys.stdin.buffer.read(),
            max_side=max_side,
            max_pixels=max_pixels,
            max_bytes=max_bytes,
        )
        told = {"content_type": content_type, "width": width, "height": height}
    except Refused as refused:
        told, written = {"problem": str(refused)}, b""
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n" + written)


if __name__ == "__main__":
    main()
