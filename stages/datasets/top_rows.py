"""Decoding a picture only as far down as it is needed: a crop rarely reaches the last row of a large PNG."""

from io import BytesIO

import numpy as np
from PIL import Image, ImageFile, ImageOps

TURNING = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")
"""Marks of PNG chunks, before or after the pixels, that may tell how the picture is to be turned."""


def top_rows(content: bytes, rows: int) -> np.ndarray:
    """The first `rows` rows of a picture in RGB, as stages/preprocess.py decodes it: uint8 rows x W x 3.

    A PNG is decoded up to there; any other picture, an interlaced or a turned one, is decoded whole.
    """
    with Image.open(BytesIO(content)) as image:
        if any(mark in content for mark in TURNING) or not stops_early(image, rows):
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))[:rows]
        return np.asarray(image.crop((0, 0, image.width, rows)).convert("RGB"))


def top_rows_of_ids(content: bytes, rows: int) -> np.ndarray:
    """The first `rows` rows of a label's pixel values: uint8 rows x W."""
    with Image.open(BytesIO(content)) as image:
        if not stops_early(image, rows):
            return np.asarray(image)[:rows]
        return np.asarray(image.crop((0, 0, image.width, rows)))


def stops_early(image: Image.Image, rows: int) -> bool:
    """Limit what will be decoded of an opened, unread PNG to its first rows; False where that cannot be done."""
    assert isinstance(image, ImageFile.ImageFile), "what was opened is read from a file"
    if image.format != "PNG" or image.info.get("interlace") or len(image.tile) != 1 or rows >= image.height:
        return False
    # The decoder stops where its tile does; what is left of the file is skipped over.
    image.tile = [image.tile[0]._replace(extents=(0, 0, image.width, rows))]
    return True
