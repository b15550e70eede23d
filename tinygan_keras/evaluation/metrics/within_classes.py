"""Frechet distances within classes: how far the images of each class are from its real images.

Reference: intra-FID of Miyato & Koyama, arXiv:1802.05637.
"""

from collections.abc import Iterator

import numpy as np

from ...classes.folder_labels import listed
from .frechet import frechet_distance_of_features
from .registry import Figure, Measured, MeasuredImages, metric

_MEMORY = 2**29  # bytes of features that are gathered by class at a time
_NAMED = 10  # classes in a note


@metric(
    "intra_class_frechet",
    {
        "intra_class_frechet": Figure(
            "Frechet distance within classes, mean (sd)",
            "lower",
            "#.4g",
            "intra_class_frechet_deviation",
        )
    },
    needs=("real_images", "real_features", "labels", "real_labels"),
)
def measure_within_classes(images: MeasuredImages) -> Measured:
    """Mean and spread over the classes, and the distance of each."""
    labels, real = images.source.labels, images.real
    total = 1 + int(max(labels.max(), real.labels.max()))
    generated_counts, real_counts = (
        np.bincount(numbers, minlength=total) for numbers in (labels, real.labels)
    )
    notes = ()
    for meaning, ours, others in (
        ("generated", generated_counts, real_counts),
        ("real", real_counts, generated_counts),
    ):
        missing = [images.name_of(label) for label in np.flatnonzero((ours < 2) & (others > 0))]
        if missing:
            notes += (
                f"Fewer than two {meaning} images of {len(missing)} classes ({listed(missing, _NAMED)}): "
                "left out of the distances within classes.",
            )
    counts = np.minimum(generated_counts, real_counts)
    enough = np.flatnonzero(counts > 1)
    if not len(enough):
        return Measured({}, notes)
    width = images.columns["features"].width
    if counts[enough].min() <= width:
        notes += (
            f"{counts[enough].min():,} images in the smallest class for {width:,} features: distances within "
            "classes are too large; compare them at equal numbers only.",
        )
    classes = {
        label: {
            "real_images": int(real_counts[label]),
            "frechet_distance": frechet_distance_of_features(generated, features),
        }
        for label, generated, features in _by_class(images, enough.tolist())
    }
    distances = np.array([row["frechet_distance"] for row in classes.values()])
    figures = {
        "intra_class_frechet": float(distances.mean()),
        "intra_class_frechet_deviation": float(distances.std()),
    }
    return Measured(figures, notes, classes)


def _by_class(images, classes) -> Iterator[tuple]:
    """Yields label, generated and real features, reading the column once per group of classes."""
    labels, column = images.source.labels, images.columns["features"]
    for group in _groups(np.bincount(labels), classes, 4 * column.width):
        parts = {label: [] for label in group}
        start = 0
        for chunk in column.chunks():
            here = labels[start : start + len(chunk)]
            start += len(chunk)
            for label in np.intersect1d(here, group):
                parts[label].append(chunk[here == label])
        for label in group:
            real = images.real.features[images.real.labels == label]
            yield label, np.concatenate(parts.pop(label)), real


def _groups(counts, classes, bytes_per_image) -> list:
    """The classes in groups, each of as many as fit into memory together."""
    groups, size = [[]], 0
    for label in classes:
        size += counts[label] * bytes_per_image
        if size > _MEMORY and groups[-1]:
            groups.append([])
            size = counts[label] * bytes_per_image
        groups[-1].append(label)
    return groups
