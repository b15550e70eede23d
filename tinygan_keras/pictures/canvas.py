"""How pictures are put together: rows of images with their names and marks, on white.

Scope: uint8 canvases `[H, W, 3]`, drawn with Pillow.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..data.images import to_uint8

WHITE, BLACK, GREY = "#ffffff", "#1a1a1a", "#6a6a6a"
TILE = 64  # smaller images are enlarged by a whole factor, 32 pixels twice
SEAM, PAD, GAP = 2, 8, 14  # pixels between images, around text, between classes
NAME_FONT, MARK_FONT = ImageFont.load_default(14), ImageFont.load_default(11)
MAX_WIDTH, MIN_CAPTION_WIDTH = 120, 64  # of texts in the margin, in pixels


class Panel(NamedTuple):
    """Rows of images, a mark beside each row, and one name for all."""

    name: str
    rows: Sequence[np.ndarray]
    marks: Sequence[str]


def draw(panel, name_width, mark_width, columns) -> np.ndarray:
    size = panel.rows[0].shape[1]
    tile = size * max(1, TILE // size)
    left = name_width + mark_width + PAD
    width = left + columns * (tile + SEAM) - SEAM
    canvas = Image.new("RGB", (width, len(panel.rows) * (tile + SEAM) - SEAM), WHITE)
    pen = ImageDraw.Draw(canvas)
    pen.text((0, canvas.height // 2), panel.name, BLACK, NAME_FONT, anchor="lm")
    for row, (images, mark) in enumerate(zip(panel.rows, panel.marks, strict=True)):
        top = row * (tile + SEAM)
        pen.text((left - PAD, top + tile // 2), mark, GREY, MARK_FONT, anchor="rm")
        for column, image in enumerate(images):
            enlarged = Image.fromarray(image).resize((tile, tile), Image.Resampling.NEAREST)
            canvas.paste(enlarged, (left + column * (tile + SEAM), top))
    return np.asarray(canvas)


def joined(pictures, axis) -> np.ndarray:
    """Pictures in a row along `axis` with a white gap between them."""
    gap = {"bottom": GAP} if axis == 0 else {"right": 2 * GAP}
    *others, last = pictures
    return np.concatenate([*(padded(picture, **gap) for picture in others), last], axis)


def padded(picture, top=0, bottom=0, left=0, right=0) -> np.ndarray:
    return np.pad(picture, ((top, bottom), (left, right), (0, 0)), constant_values=255)


def shortened(text: str, font) -> str:
    """The first of several comma-separated names, cut where the margin ends."""
    text = text.split(",")[0]
    if font.getlength(text) <= MAX_WIDTH:
        return text
    while font.getlength(text + "...") > MAX_WIDTH:
        text = text[:-1]
    return text.rstrip() + "..."


def checked_images(images) -> np.ndarray:
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] != 3:
        raise ValueError(f"Got images of shape {images.shape}. Expected (N, S, S, 3).")
    if not len(images):
        raise ValueError("Got no images to draw. Expected at least one.")
    return images if images.dtype == np.uint8 else to_uint8(images)
