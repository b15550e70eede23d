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
    neighbours: np.ndarray  # the real images nearest to each, nearest first, uint8 [Q, k, R, R, 3]
    distances: np.ndarray  # float [Q, k]


class MemorisationScale(NamedTuple):
    """What `memorisation_scale` found."""

    threshold: float  # distances below it are called close
    real_median: float  # of the distances to the nearest other real image
    generated_median: float
    generated: int  # number of generated images
    close: int  # how many of them are close
    expected: float  # how many would be, were they new real images
    suspicious: bool  # whether that is more than chance explains


def memorisation_scale(real_distances, generated_distances) -> MemorisationScale:
    """Compares how near generated and real images are to their nearest real neighbours.

    Close is a distance below that of 99 % of the real images. Suspicious are close images whose number
    exceeds 1 % by more than three standard deviations of a Poisson distribution.

    Args:
        real_distances: Float `[M]`, from each real image to the nearest other one.
        generated_distances: Float `[N]`, from each generated image to the nearest real one.

    """
    real, generated = np.ravel(real_distances), np.ravel(generated_distances)
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
    """Shows `NeighbourBlock`s side by side, of as many rows each; what is close gets a red frame.

    Args:
        blocks: List of `NeighbourBlock`s.
        scale: From `memorisation_scale`, over all generated images and not only those shown.
        searched: Says which real images were searched, for example "10,000 real images of ...".

    Returns:
        uint8 `[H, W, 3]`.
    """
    rows, names, captions, framed = [], [], [], []
    for block in blocks:
        shape = block.neighbours.shape
        flat = resized(block.neighbours.reshape(-1, *shape[2:]), block.images.shape[1])
        neighbours = flat.reshape(*shape[:2], *flat.shape[1:])
        rows += list(np.concatenate([block.images[:, None], neighbours], axis=1))
        names += list(block.names)
        captions += [["", *map(three_digits, distances)] for distances in block.distances]
        close = block.distances < scale.threshold
        framed += np.concatenate([close[:, :1], close], axis=1).tolist()
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
        lines=_explanation(scale, searched),
        thumbnails=True,
    )


def _explanation(scale, searched) -> list:
    verdict = (
        "More generated images are this close than chance explains: look whether the framed pairs show "
        "the same image. Plain, typical images can be close without being copies."
        if scale.suspicious
        else "That is no more than chance explains: nothing here looks memorised."
    )
    threshold, real, generated = map(
        three_digits, (scale.threshold, scale.real_median, scale.generated_median)
    )
    return [
        "Left of the line: a generated image. Right: its nearest real images, with their distance in "
        f"feature space. Searched: {searched or 'the real images'}.",
        f"For scale: a real image is {real} away from the nearest other real image (median), and 1 in "
        f"100 is closer than {threshold}. A red frame marks what is closer than that.",
        f"Generated images are {generated} away from the nearest real image (median), and "
        f"{scale.close:,} of {scale.generated:,} are closer than {threshold}; {scale.expected:.3g} would "
        f"be expected of new real images. {verdict}",
    ]
