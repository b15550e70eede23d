"""From stored features to figures of merit: which metric is computed from what, and what it can't say.

Scope: `measure` and the names of the figures. The metrics themselves are pure functions in `metrics/`.
Everything that makes a figure less than it seems is put into words, never left to the reader.
"""

from typing import NamedTuple

import numpy as np

from .classes import measure_classes
from .extraction import FIDELITY
from .feature_store import CHUNK
from .metrics.frechet import (
    StatisticsAccumulator,
    frechet_distance,
    frechet_distance_of_features,
    summarize_classes,
)
from .metrics.inception_score import InceptionScoreAccumulator
from .metrics.kernel import kernel_distance
from .metrics.neighbours import manifold_metrics

SETTINGS = {
    "inception_splits": 10,
    "kernel_block": 1000,
    "nearest_k": 5,
    "neighbour_images": 10_000,  # of each kind, for the kernel distance too: their cost is quadratic
}


class Measured(NamedTuple):
    """Scalars by name, one dict per class, and what has to be said about them."""

    figures: dict
    classes: list
    notes: list


def measure(store, plan) -> Measured:
    """Computes every figure that the inputs allow.

    Args:
        store: A complete `FeatureStore` with the columns `features` and `logits`.
        plan: A `Plan`; of it labels, reference, class names, number of classes and seed are used.

    Returns:
        `Measured`. A figure that can't be computed is missing, and a note says why.
    """
    order = np.random.default_rng(plan.seed).permutation(store.count)
    notes = []
    figures = _distances(store, plan.reference, order, notes)
    figures |= _inception_score(store, order, notes)
    classes = measure_classes(store, plan, notes)
    distances = {
        row["label"]: row["frechet_distance"] for row in classes if "frechet_distance" in row
    }
    if distances:
        summary = summarize_classes(distances)
        figures["intra_class_frechet"] = summary["mean"]
        figures["intra_class_frechet_deviation"] = summary["deviation"]
    if classes and "label_accuracy" in classes[0]:
        images = sum(row["images"] for row in classes)
        hits = sum(row["images"] * row["label_accuracy"] for row in classes)
        figures["label_accuracy"] = hits / images
    return Measured(figures, classes, notes)


def compare_with_teacher(store, notes: list) -> dict:
    """The figures of a student beside its teacher, on equal latents.

    Args:
        store: A complete `FeatureStore` with `features`, `teacher_features` and the columns `FIDELITY`.
        notes: Gets what has to be said about them.
    """
    figures = {
        "frechet_to_teacher": frechet_distance(
            *_statistics(store, "features"), *_statistics(store, "teacher_features")
        )
    }
    for name in FIDELITY:
        values = np.concatenate([chunk[:, 0] for chunk in store.chunks(name)]).astype("float64")
        finite = np.isfinite(values)
        if not finite.all():  # the PSNR of equal images
            notes.append(
                f"{np.sum(~finite):,} of {store.count:,} images equal the teacher's: their PSNR is "
                "infinite and left out of the mean."
            )
        if finite.any():
            figures[name] = float(values[finite].mean())
    return figures


def _statistics(store, column):
    accumulator = StatisticsAccumulator(store.widths[column])
    for chunk in store.chunks(column):
        accumulator.update(chunk)
    return accumulator.statistics()


def _distances(store, reference, order, notes) -> dict:
    """Distances to the real images."""
    if reference is None:
        notes.append("No real images are given: nothing is said about the distance to them.")
        return {}
    figures = {
        "frechet_distance": frechet_distance(
            *_statistics(store, "features"), reference.mean, reference.covariance
        )
    }
    _note_bias(store, reference, notes)
    if reference.floor is not None:
        figures["frechet_floor"] = reference.floor
    if reference.features is None:
        notes.append(
            "The reference holds mu and sigma only: kernel distance, precision, recall, density, "
            "coverage and distances within classes are left out."
        )
        return figures
    most = SETTINGS["neighbour_images"]
    generated = store.take("features", order[:most])
    # In a random order of its own: real images are often sorted, and the kernel takes blocks.
    chosen = np.random.default_rng(0).permutation(len(reference.features))[:most]
    real = reference.features[chosen]
    figures |= _kernel(real, generated, notes)
    if min(len(real), len(generated)) <= SETTINGS["nearest_k"]:
        notes.append("Too few images for precision, recall, density and coverage.")
    else:
        figures.update(manifold_metrics(real, generated, SETTINGS["nearest_k"]))
    return figures


def _kernel(real, generated, notes) -> dict:
    block = SETTINGS["kernel_block"]
    # Every block needs two rows of each kind, so few images allow few blocks.
    most = block * (min(len(real), len(generated)) // 2)
    if not most:
        notes.append("Too few images for the kernel distance.")
        return {}
    value, error = kernel_distance(real[:most], generated[:most], block)
    if error is None:
        notes.append("Too few images for a second block: the kernel distance has no error bar.")
        return {"kernel_distance": value}
    return {"kernel_distance": value, "kernel_distance_error": error}


def _note_bias(store, reference, notes):
    count, width = store.count, store.widths["features"]
    few = min(count, count if reference.count is None else reference.count)
    if few > width:
        return
    bias = ""
    features = reference.features
    if features is not None and len(features) >= 4:
        size = min(count, len(features) // 2)
        rows = np.random.default_rng(0).permutation(len(features))
        floor = frechet_distance_of_features(features[rows[:size]], features[rows[size : 2 * size]])
        bias = f" Two samples of {size:,} real images are {floor:.4g} apart: so much is bias."
    notes.append(
        f"{few:,} images for {width:,} features: the covariance is singular and the Frechet distance "
        f"too large.{bias} Compare only figures with the same number of images."
    )


def _inception_score(store, order, notes) -> dict:
    splits = SETTINGS["inception_splits"]
    if store.count < splits:
        notes.append(f"Fewer images than the {splits} splits of the Inception score: left out.")
        return {}
    accumulator = InceptionScoreAccumulator(store.count, splits)
    for start in range(0, store.count, CHUNK):
        accumulator.update(store.take("logits", order[start : start + CHUNK]))
    score, deviation = accumulator.score()
    return {"inception_score": score, "inception_score_deviation": deviation}
