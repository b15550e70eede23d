"""Generated images beside the real images nearest to them: is anything memorised?

A distance in feature space means nothing by itself. Its scale here is how far real images are from their
own nearest real neighbours: a generator of new images keeps about that distance, one that copies its
training images falls below it.
"""

from typing import NamedTuple

import numpy as np

from .image_rows import image_rows, resized, three_digits

CLOSE_PERCENT = 1  # of the real images lie closer to another one than what is called close


class NeighbourBlock(NamedTuple):
    """Rows of a neighbour picture below one heading."""

    heading: str  # which generated images these are
    names: list  # one per row, for example the class
    images: np.ndarray  # generated, uint8 [Q, S, S, 3]
    neighbours: list  # for each the real images nearest to it, nearest first, uint8 [k, R, R, 3]
    distances: np.ndarray  # float [Q, k]


class MemorisationScale(NamedTuple):
    """How near generated and real images are to their nearest real neighbours."""

    threshold: float  # distances below it are called close, as those of 1 % of the real images
    real_median: float  # of the distances to the nearest other real image
    generated_median: float
    generated: int  # number of generated images
    close: int  # how many of them are close
    expected: float  # how many would be, were they new real images
    suspicious: bool  # whether it is more than three standard deviations of a Poisson distribution


def memorisation_scale(real_distances, generated_distances) -> MemorisationScale:
    """From the distances `[M]` and `[N]` of real and generated images to their nearest (other) real one."""
    real, generated = np.ravel(real_distances), np.ravel(generated_distances)
    threshold = float(np.percentile(real, CLOSE_PERCENT))
    medians = float(np.median(real)), float(np.median(generated))
    close = int(np.sum(generated < threshold))
    expected = len(generated) * CLOSE_PERCENT / 100
    suspicious = close > expected + 3 * np.sqrt(expected)
    return MemorisationScale(threshold, *medians, len(generated), close, expected, suspicious)


def neighbour_picture(blocks, scale: MemorisationScale, searched) -> np.ndarray:
    """Shows `NeighbourBlock`s of as many rows side by side; `searched` says which real images those are."""
    rows, names, captions, framed = [], [], [], []
    for block in blocks:
        shown = zip(block.images, block.neighbours, block.distances, strict=True)
        for image, real, distances in shown:
            rows.append(np.concatenate([image[None], resized(real, len(image))]))
            close = (distances < scale.threshold).tolist()
            framed.append([close[0], *close])
            captions.append(["", *map(three_digits, distances)])
        names += block.names
    threshold, real, generated = map(three_digits, scale[:3])
    verdict = (
        "More generated images are this close than chance explains: look whether the framed pairs show "
        "the same image. Plain, typical images can be close without being copies."
        if scale.suspicious
        else "That is no more than chance explains: nothing here looks memorised."
    )
    lines = [
        "Left of the line: a generated image. Right: its nearest real images, with their distance in "
        f"feature space. Searched: {searched}.",
        f"For scale: a real image is {real} away from the nearest other real image (median), and 1 in "
        f"100 is closer than {threshold}. A red frame marks what is closer than that.",
        f"Generated images are {generated} away from the nearest real image (median), and "
        f"{scale.close:,} of {scale.generated:,} are closer than {threshold}; {scale.expected:.3g} would "
        f"be expected of new real images. {verdict}",
    ]
    return image_rows(
        rows,
        names,
        columns=["generated", "nearest real"],
        captions=captions,
        framed=framed,
        rule_after=1,
        blocks=len(blocks),
        headings=[block.heading for block in blocks],
        title="Is anything memorised? Generated images beside their nearest real images",
        lines=lines,
        thumbnails=True,
    )
