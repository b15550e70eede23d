"""Pictures on the way from one latent to another, and from one class to another.

Scope: paths as NumPy arrays, and uint8 canvases of the images drawn along them. Smooth rows say that a
generator has learned a space and not a list of images.

Latents take the great circle and not the straight line. A Gaussian vector of length Z has a norm close to
sqrt(Z), whatever its direction; halfway along the line between two of them the norm is smaller by sqrt(2),
a place where a generator was never trained and draws dull images. Class weights take the straight line:
they enter a linear map, and shares of two classes are what a reader expects between them.
"""

import numpy as np

from ..errors import InputError
from .canvas import (
    BLACK,
    NAME_FONT,
    PAD,
    SEAM,
    Panel,
    checked_images,
    draw,
    joined,
    padded,
    shortened,
    text_box,
    tile_size,
    titled,
)

_SMALLEST_SINE = (
    1e-4  # below, the two formulas agree to float32 and the great circle divides by zero
)
_CAPTION_HEIGHT, _ROW_GAP = 18, 6  # in pixels
_LATENT_TITLE = (
    "From one random draw to another, within a class",
    (
        "The two ends of a row are independent draws (two latents z). The images between them lie at "
        "equal steps on the great circle between the two latents.",
        "Good: every image in between is a plausible one of its class, and the change is gradual.",
    ),
)
_CLASS_TITLE = (
    "From one class to another, with the same z",
    (
        "The random draw z is fixed in a row. The class changes in equal steps, by mixing the two "
        "class embeddings; the numbers above are the share of the class at the right.",
        "Good: what z decides, such as pose and brightness, stays while the kind of thing changes.",
    ),
)


def spherical_path(start, end, steps: int) -> np.ndarray:
    """Walks from one latent to another along the great circle between their directions.

        p(t) = sin((1 - t) w) / sin(w) start + sin(t w) / sin(w) end,   w the angle between them

    Vectors of nearly one direction, and the zero vector, are joined by the straight line. Single
    components may leave the range of a truncated normal by up to sqrt(2); the norm doesn't.

    Args:
        start, end: Float `[Z]`.
        steps: Points on the path, both ends included; at least 2.

    Returns:
        Float32 `[steps, Z]`. The first row is `start` and the last one `end`, to the last bit.

    Raises:
        ValueError: the shapes differ, there are less than two steps, a value isn't finite, or the
            vectors are opposite, so that there is no one great circle through them.

    Example:
        >>> spherical_path([1, 0], [0, 1], 3)[1]
        array([0.70710677, 0.70710677], dtype=float32)

    Reference: White, "Sampling generative networks", arXiv:1609.04468.
    """
    start, end, shares = _checked_path(start, end, steps)
    norms = np.linalg.norm(start) * np.linalg.norm(end)
    cosine = np.clip(start @ end / norms, -1, 1) if norms else 1.0
    angle = np.arccos(cosine)
    if np.sin(angle) < _SMALLEST_SINE and cosine < 0:
        raise InputError(
            "Got two opposite latents. Expected two with one shortest arc between them. Draw another "
            "latent for one of the ends."
        )
    if np.sin(angle) < _SMALLEST_SINE:
        return linear_path(start, end, steps)
    first, second = np.sin((1 - shares) * angle), np.sin(shares * angle)
    return _with_ends((first * start + second * end) / np.sin(angle), start, end)


def linear_path(start, end, steps: int) -> np.ndarray:
    """Walks from one vector to another along the straight line, `(1 - t) start + t end`.

    Args, Returns, Raises: as for `spherical_path`; opposite vectors are fine here.
    """
    start, end, shares = _checked_path(start, end, steps)
    return _with_ends((1 - shares) * start + shares * end, start, end)


def class_path(first_class: int, second_class: int, num_classes: int, steps: int) -> np.ndarray:
    """Class weights that go from one class to another in a straight line.

    Args:
        first_class, second_class: In [0, num_classes).
        num_classes: C.
        steps: Points on the path, both ends included; at least 2.

    Returns:
        Float32 `[steps, C]`. Rows sum to 1; the first and the last one are one-hot.

    Raises:
        ValueError: there is no such class, or less than two steps.

    Example:
        >>> class_path(0, 2, 3, 3)[1]
        array([0.5, 0. , 0.5], dtype=float32)
    """
    for label in (first_class, second_class):
        if not 0 <= label < num_classes:
            raise InputError(
                f"Got class {label}. Expected a number from 0 to {num_classes - 1}. Check the class "
                "numbers of the generator."
            )
    one_hot = np.eye(num_classes, dtype="float32")[[first_class, second_class]]
    return linear_path(*one_hot, steps)


def latent_interpolation(rows, names) -> np.ndarray:
    """Draws images between two latents, a row a class.

    Args:
        rows: List of images uint8 or float in [-1, 1], `[N, S, S, 3]`, drawn along a path of z.
        names: The class of each row.

    Returns:
        uint8 `[H, W, 3]`.

    Raises:
        ValueError: the rows differ in shape, or their number from that of the names.
    """
    return titled(_rows(rows, names, None), *_LATENT_TITLE)


def class_interpolation(rows, first_names, second_names) -> np.ndarray:
    """Draws images between two classes, the same z along a row.

    Args:
        rows: Images as for `latent_interpolation`, drawn along a path of class weights.
        first_names, second_names: The classes at the left and at the right end of each row.

    Returns, Raises: as for `latent_interpolation`.
    """
    return titled(_rows(rows, first_names, second_names), *_CLASS_TITLE)


def _rows(rows, left_names, right_names):
    rows = [checked_images(row) for row in rows]
    counts = {len(rows), len(left_names), len(left_names if right_names is None else right_names)}
    if len({row.shape for row in rows}) != 1 or len(counts) != 1:
        raise InputError(
            f"Got rows of shape {[row.shape for row in rows]} and {len(left_names)} names. Expected at "
            "least one row, rows of one shape and a name for each."
        )
    columns, tile = len(rows[0]), tile_size(rows[0])
    left_names, width = _margin(left_names)
    panels = [Panel(name, (row,), ("",)) for name, row in zip(left_names, rows, strict=True)]
    picture = joined([draw(panel, width, 0, columns) for panel in panels], 0, gap=_ROW_GAP)
    if right_names is not None:
        right_names, width_right = _margin(right_names)
        names = [text_box(n, width_right, tile, NAME_FONT, BLACK, "lm") for n in right_names]
        picture = np.concatenate(
            [picture, padded(joined(names, 0, gap=_ROW_GAP), left=PAD)], axis=1
        )
    captions = _captions(columns, tile, named_ends=right_names is None)
    left = width + PAD
    captions = padded(captions, left=left, right=picture.shape[1] - left - captions.shape[1])
    return np.concatenate([captions, picture])


def _margin(names):
    names = [shortened(name, NAME_FONT) for name in names]
    return names, max(round(NAME_FONT.getlength(name)) for name in names)


def _captions(columns, tile, named_ends):
    shares = [f"{share:.0%}" for share in np.linspace(0, 1, columns)]
    if named_ends:
        shares[0], shares[-1] = "draw 1", "draw 2"
    return joined([text_box(share, tile, _CAPTION_HEIGHT) for share in shares], 1, gap=SEAM)


def _checked_path(start, end, steps):
    start, end = np.asarray(start, "float32"), np.asarray(end, "float32")
    if start.ndim != 1 or start.shape != end.shape:
        raise InputError(
            f"Got ends of shape {start.shape} and {end.shape}. Expected two vectors of one length; give "
            "one latent each, not a batch."
        )
    if not (np.isfinite(start).all() and np.isfinite(end).all()):
        raise InputError("Got an end with a value that isn't finite. Expected finite numbers only.")
    if steps < 2:
        raise InputError(
            f"Got {steps} steps. Expected at least 2, as both ends belong to the path."
        )
    shares = np.linspace(0, 1, steps)[:, None]
    return start.astype("float64"), end.astype("float64"), shares


def _with_ends(path, start, end):
    path[0], path[-1] = start, end  # sin(w) / sin(w) may differ from 1 in the last bit
    return path.astype("float32")
