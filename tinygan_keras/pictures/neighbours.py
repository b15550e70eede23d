"""Generated images beside the real images nearest to them: is anything memorised?

Scope: the uint8 canvas. The search for neighbours is `evaluation/metrics/neighbours.py`.

A distance in feature space means nothing by itself. Its scale here is how far real images are from their
own nearest real neighbours: a generator of new images keeps about that distance, one that copies its
training images falls below it.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from ..errors import InputError
from .canvas import (
    BLACK,
    GAP,
    GREY,
    NAME_FONT,
    PAD,
    SEAM,
    checked_images,
    joined,
    padded,
    resized,
    shortened,
    text_box,
    three_digits,
    tile_size,
    titled,
)

CLOSE_PERCENT = 1  # of the real images lie closer to another one than what we call close
_RED = "#d00000"
_FRAME, _CAPTION_HEIGHT = 4, 16  # in pixels


class NeighbourBlock(NamedTuple):
    """Rows of a neighbour picture below one heading.

    Args:
        heading: Which generated images these are.
        names: One per row, for example the class.
        images: Generated, uint8 or float in [-1, 1], `[Q, S, S, 3]`.
        neighbours: The real images nearest to each, nearest first, `[Q, k, R, R, 3]`.
        distances: Float `[Q, k]`.
    """

    heading: str
    names: list
    images: np.ndarray
    neighbours: np.ndarray
    distances: np.ndarray


class MemorisationScale(NamedTuple):
    """What `memorisation_scale` found.

    Attributes:
        threshold: Distances below it are called close.
        real_median, generated_median: Of the distances to the nearest real image.
        generated: Number of generated images looked at.  close: How many of them are close.
        expected: How many would be, were they new real images.
        suspicious: Whether that is more than chance explains.
    """

    threshold: float
    real_median: float
    generated_median: float
    generated: int
    close: int
    expected: float
    suspicious: bool


def memorisation_scale(real_distances, generated_distances) -> MemorisationScale:
    """Compares how near generated and real images are to their nearest real neighbours.

    Close is a distance below that of 99 % of the real images. Suspicious are close images whose number
    exceeds 1 % by more than three standard deviations of a Poisson law.

    Args:
        real_distances: Float `[M]`, from each real image to the nearest other one.
        generated_distances: Float `[N]`, from each generated image to the nearest real one.

    Raises:
        ValueError: there is no distance of one kind, or one isn't finite.
    """
    real, generated = np.ravel(real_distances), np.ravel(generated_distances)
    for kind, distances in (("real", real), ("generated", generated)):
        if not len(distances) or not np.isfinite(distances).all():
            raise InputError(
                f"Got {len(distances)} {kind} distances, {np.sum(~np.isfinite(distances))} of them not "
                "finite. Expected at least one, and finite numbers; check the features."
            )
    threshold = float(np.percentile(real, CLOSE_PERCENT))
    close = int(np.sum(generated < threshold))
    expected = len(generated) * CLOSE_PERCENT / 100
    return MemorisationScale(
        threshold=threshold,
        real_median=float(np.median(real)),
        generated_median=float(np.median(generated)),
        generated=len(generated),
        close=close,
        expected=expected,
        suspicious=close > expected + 3 * np.sqrt(expected),
    )


def neighbour_picture(blocks, scale: MemorisationScale, searched="") -> np.ndarray:
    """Draws each generated image with its nearest real ones to the right, distances below.

    A generated image that is close by `scale` gets a red frame, and so do the neighbours that are as
    close.

    Args:
        blocks: List of `NeighbourBlock`, drawn side by side.
        scale: From `memorisation_scale`, over all generated images and not only those shown.
        searched: Says which real images were searched, for example "10,000 real images of ...".

    Returns:
        uint8 `[H, W, 3]`.

    Raises:
        ValueError: there is no block, or shapes within a block don't fit.
    """
    if not blocks:
        raise InputError("Got no block to draw. Expected at least one NeighbourBlock.")
    drawn = [_draw(block, scale.threshold) for block in blocks]
    height = max(len(picture) for picture in drawn)
    drawn = [padded(picture, bottom=height - len(picture)) for picture in drawn]
    return titled(joined(drawn, 1), *_header(scale, searched))


def _header(scale, searched):
    title = "Is anything memorised? Generated images beside their nearest real images"
    verdict = (
        "More generated images are this close than chance explains: look whether the framed pairs show "
        "the same image. Plain, typical images can be close without being copies."
        if scale.suspicious
        else "That is no more than chance explains: nothing here looks memorised."
    )
    threshold, real, generated = map(
        three_digits, (scale.threshold, scale.real_median, scale.generated_median)
    )
    lines = [
        "Left of the line: a generated image. Right: its nearest real images, with their distance in "
        f"feature space. Searched: {searched or 'the real images'}.",
        f"For scale: a real image is {real} away from the nearest other real image (median), and 1 in "
        f"100 is closer than {threshold}. A red frame marks what is closer than that.",
        f"Generated images are {generated} away from the nearest real image (median), and "
        f"{scale.close:,} of {scale.generated:,} are closer than {threshold}; {scale.expected:.3g} would "
        f"be expected of new real images. {verdict}",
    ]
    return title, lines


def _draw(block, threshold):
    images, neighbours, distances = _checked(block)
    names = [shortened(name, NAME_FONT) for name in block.names]
    width = max(round(NAME_FONT.getlength(name)) for name in names)
    tile = tile_size(images)
    rows = []
    for name, image, row, row_distances in zip(names, images, neighbours, distances, strict=True):
        close = row_distances < threshold
        cells = [
            _cell(neighbour, tile, three_digits(distance), framed)
            for neighbour, distance, framed in zip(row, row_distances, close, strict=True)
        ]
        generated = _cell(image, tile, "", close[0])
        line = np.full((len(generated), 1, 3), 160, "uint8")
        margin = padded(text_box(name, width, tile, NAME_FONT, BLACK, "lm"), bottom=_CAPTION_HEIGHT)
        parts = (
            padded(margin, right=PAD),
            padded(generated, right=GAP // 2),
            padded(line, right=GAP // 2),
            joined(cells, 1, gap=SEAM),
        )
        rows.append(np.concatenate(parts, axis=1))
    body = joined(rows, 0, gap=SEAM)
    heading = text_box(block.heading, body.shape[1], 2 * _CAPTION_HEIGHT, NAME_FONT, BLACK, "lm")
    left = width + PAD
    marks = [
        padded(text_box("generated", tile, _CAPTION_HEIGHT), left=left, right=GAP + 1),
        text_box(
            "nearest real", body.shape[1] - left - tile - GAP - 1, _CAPTION_HEIGHT, anchor="lm"
        ),
    ]
    return np.concatenate([heading, np.concatenate(marks, axis=1), body])


def _checked(block):
    images = checked_images(block.images)
    neighbours, distances = np.asarray(block.neighbours), np.asarray(block.distances)
    count, k = len(images), neighbours.shape[1] if neighbours.ndim == 5 else 0
    if not k or distances.shape != (count, k) or not len(neighbours) == len(block.names) == count:
        raise InputError(
            f"Got {count} generated images, neighbours {neighbours.shape}, distances {distances.shape} "
            f"and {len(block.names)} names. Expected neighbours (Q, k, R, R, 3), distances (Q, k) and a "
            "name for each of the Q generated images."
        )
    flat = checked_images(neighbours.reshape(-1, *neighbours.shape[2:]))
    flat = resized(flat, images.shape[1])
    return images, flat.reshape(count, k, *images.shape[1:]), distances


def _cell(image, tile, caption, framed):
    """An enlarged image above its caption, both red if framed."""
    picture = Image.fromarray(image).resize((tile, tile), Image.Resampling.NEAREST)
    if framed:
        ImageDraw.Draw(picture).rectangle((0, 0, tile - 1, tile - 1), outline=_RED, width=_FRAME)
    text = text_box(caption, tile, _CAPTION_HEIGHT, colour=_RED if framed else GREY)
    return np.concatenate([np.asarray(picture), text])
