"""Perceptual path length: how far images move in feature space by a small step in z, or between two classes.

A generator with a smooth space has short paths; one that jumps between memorised images has long ones.
Distances are those of the protocol's extractor, not LPIPS' as in papers: compare figures of this
function only. Images aren't rounded to uint8, which would swallow the step.
"""

import functools

import numpy as np

from ...latents import spherical
from .registry import Figure, Measured, MeasuredImages, metric

PATHS = 1000
EPSILON = 1e-3  # of the way; the 1e-4 of StyleGAN is near float32's rounding of features
_PERCENTILES = 1, 99  # as in StyleGAN, paths beyond these are left out
_BATCH = 50
_TITLES = {"path_length": "path length in z", "class_path_length": "path length between classes"}


@metric(
    "path_length",
    {
        name: Figure(f"{title} (standard error)", "lower", "#.4g", f"{name}_error")
        for name, title in _TITLES.items()
    },
    needs=("latents",),
    columns=(),
    optional=True,
)
def measure_path_length(images: MeasuredImages) -> Measured:
    """Paths between the latents of neighbouring images, and between the classes of these."""
    source, generator = images.source, images.source.generator
    count = min(PATHS, source.count // 2)
    if count < 2:
        return Measured({}, ("Too few images for path lengths.",))
    ends = source.latents(0, 2 * count)
    labels = source.labels[:count]
    places = np.random.default_rng(images.seed).uniform(0, 1 - EPSILON, (count, 1))
    steps = [spherical(ends[:count], ends[count:], t) for t in (places, places + EPSILON)]

    looked_at = functools.partial(_features, images.extractor)
    paths = ((z, labels) for z in steps)
    lengths = {"path_length": path_lengths(looked_at(generator.draw), *paths)}
    notes = ()
    if generator.mix is None or not generator.num_classes or generator.num_classes < 2:
        notes = ("The generator can't mix classes: no path length between classes.",)
    else:
        # To another class, any of the others.
        random = np.random.default_rng(images.seed + 1)
        others = (labels + random.integers(1, generator.num_classes, count)) % generator.num_classes
        first, second = np.eye(generator.num_classes, dtype="float32")[np.stack([labels, others])]
        mixed = [
            ((1 - t) * first + t * second).astype("float32") for t in (places, places + EPSILON)
        ]
        paths = ((ends[:count], weights) for weights in mixed)
        lengths["class_path_length"] = path_lengths(looked_at(generator.mix), *paths)
    figures = {}
    for name, values in lengths.items():
        low, high = np.percentile(values, _PERCENTILES)
        kept = values[(values >= low) & (values <= high)]
        figures[name] = float(kept.mean())
        figures[f"{name}_error"] = float(kept.std(ddof=1) / np.sqrt(len(kept)))
    return Measured(figures, notes, protocol={"path_length": {"paths": count, "epsilon": EPSILON}})


def _features(extractor, draw):
    """The features of what `draw` makes, without rounding it to uint8."""
    return lambda *rows: extractor.features_in_graph(draw(*rows), rounded=False)


def path_lengths(features, start, end, epsilon=EPSILON) -> np.ndarray:
    """`|f(end) - f(start)|^2 / epsilon^2` of every path, float64 `[N]`.

    `features` takes arrays as `start` and `end` hold them, a row per path, and returns float `[n, F]`.

    Reference: Karras, Laine & Aila, arXiv:1812.04948.
    """
    lengths = []
    for first in range(0, len(start[0]), _BATCH):
        rows = slice(first, first + _BATCH)
        ends = (
            np.asarray(features(*(part[rows] for part in side)), "float64") for side in (start, end)
        )
        lengths.append(np.sum((next(ends) - next(ends)) ** 2, axis=1) / epsilon**2)
    return np.concatenate(lengths)
