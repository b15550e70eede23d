"""How pictures are put together: rows of images with their names and marks, on white.

Scope: uint8 canvases `[H, W, 3]`, drawn with Pillow.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import InputError
from ..images import to_uint8

WHITE, BLACK, GREY = "#ffffff", "#1a1a1a", "#6a6a6a"
TILE, LARGEST_TILE = 64, 128  # smaller images are enlarged by a whole factor, 32 pixels twice
SEAM, PAD, GAP = 2, 8, 14  # pixels between images, around text, between classes
NAME_FONT, MARK_FONT = ImageFont.load_default(14), ImageFont.load_default(11)
TITLE_FONT, LINE_FONT = ImageFont.load_default(20), ImageFont.load_default(13)
LINE_HEIGHT, MIN_TITLE_WIDTH = 1.4, 640  # in font sizes; in pixels
MAX_WIDTH, MIN_CAPTION_WIDTH = 120, 64  # of texts in the margin, in pixels


class Panel(NamedTuple):
    """Rows of images, a mark beside each row, and one name for all."""

    name: str
    rows: Sequence[np.ndarray]
    marks: Sequence[str]


def draw(panel, name_width, mark_width, columns) -> np.ndarray:
    tile = tile_size(panel.rows[0])
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


def tile_size(images) -> int:
    """Side of an image in the picture, for images `[N, S, S, 3]`."""
    size = images.shape[1]
    return size * max(1, TILE // size)


def thumbnails(images, size=LARGEST_TILE) -> np.ndarray:
    """Images no larger than `size`, so that a picture of many of them stays small."""
    images = checked_images(images)
    return resized(images, size) if images.shape[1] > size else images


def resized(images, size) -> np.ndarray:
    """Images uint8 `[N, S, S, 3]` of another size, for people to look at and not for measuring."""
    if images.shape[1] == size:
        return images
    return np.stack(
        [
            np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS))
            for image in images
        ]
    )


def text_box(text, width, height, font=MARK_FONT, colour=GREY, anchor="mm") -> np.ndarray:
    """One line of text on white; the anchor's first letter is l, m or r: left, middle or right."""
    canvas = Image.new("RGB", (width, height), WHITE)
    left = {"l": 0, "m": width / 2, "r": width}[anchor[0]]
    ImageDraw.Draw(canvas).text((left, height / 2), text, colour, font, anchor=anchor)
    return np.asarray(canvas)


def titled(picture, title, lines=()) -> np.ndarray:
    """A picture with a margin, below its title and the lines that explain it, broken where it ends."""
    width = max(picture.shape[1], MIN_TITLE_WIDTH)
    texts = [(text, TITLE_FONT, BLACK) for text in _broken(title, TITLE_FONT, width)]
    for line in lines:
        texts += [(text, LINE_FONT, GREY) for text in _broken(line, LINE_FONT, width)]
    rows = [
        text_box(text, width, round(LINE_HEIGHT * font.size), font, colour, "lm")
        for text, font, colour in texts
    ]
    body = padded(picture, top=GAP, right=width - picture.shape[1])
    return padded(np.concatenate([*rows, body]), PAD, PAD, PAD, PAD)


def _broken(text, font, width):
    first, *words = text.split()
    lines = [first]
    for word in words:
        longer = f"{lines[-1]} {word}"
        if font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def joined(pictures, axis, gap=None) -> np.ndarray:
    """Pictures in a row along `axis` with a white gap between them, by default that between classes."""
    gap = {"bottom": gap or GAP} if axis == 0 else {"right": gap or 2 * GAP}
    *others, last = pictures
    return np.concatenate([*(padded(picture, **gap) for picture in others), last], axis)


def padded(picture, top=0, bottom=0, left=0, right=0) -> np.ndarray:
    return np.pad(picture, ((top, bottom), (left, right), (0, 0)), constant_values=255)


def three_digits(value) -> str:
    """A number with three digits, zeros at the end included, so that many of them read alike."""
    return f"{value:#.3g}".rstrip(".")


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
        raise InputError(f"Got images of shape {images.shape}. Expected (N, S, S, 3).")
    if not len(images):
        raise InputError("Got no images to draw. Expected at least one.")
    return images if images.dtype == np.uint8 else to_uint8(images)
