"""Class by class: whether images show their class, and how far they are from its real images."""

from collections.abc import Iterator

import numpy as np

from ..classes.folder_labels import listed
from .metrics.frechet import class_frechet_distances

_MEMORY = 2**29  # bytes of features that are gathered by class at a time


def measure_classes(store, plan, notes: list) -> list:
    """Measures every class of an evaluation.

    Args:
        store: A complete `FeatureStore` with the columns `features` and `logits`.
        plan: A `Plan`.
        notes: Gets what has to be said about the classes.

    Returns:
        A dict per class that has images: `label`, `name`, `images`, and where they can be measured
        `label_accuracy`, `frechet_distance` and `real_images`. Empty for images without labels.
    """
    labels, reference = plan.subject.labels, plan.reference
    if labels is None:
        notes.append("The images have no labels: no label accuracy, nothing within classes.")
        return []
    counts = np.bincount(labels)
    rows = {
        int(label): {
            "label": int(label),
            "name": _name(label, plan.class_names),
            "images": int(counts[label]),
        }
        for label in np.flatnonzero(counts)
    }
    _add_accuracies(rows, store, labels, plan, notes)
    if reference is not None and reference.features is not None:
        if reference.labels is None:
            notes.append("The real images have no labels: no distances within classes.")
        else:
            _note_missing(counts, reference.labels, plan.class_names, notes)
            _add_distances(rows, store, labels, reference, notes)
    return list(rows.values())


def _add_accuracies(rows, store, labels, plan, notes):
    """Only where the classifier can be taken to know these very classes."""
    known = plan.extractor.num_classes
    generator = getattr(plan.subject, "generator", None)
    classes = generator.num_classes if generator else len(plan.class_names or ()) or None
    if max(rows) >= known or classes not in (None, known):
        notes.append(
            f"The images have {classes or max(rows) + 1} classes, the extractor's logits {known}: no "
            "label accuracy."
        )
        return
    predicted = np.concatenate([chunk.argmax(axis=-1) for chunk in store.chunks("logits")])
    hits = np.bincount(labels, weights=predicted == labels)
    for label, row in rows.items():
        row["label_accuracy"] = float(hits[label] / row["images"])


def _add_distances(rows, store, labels, reference, notes):
    real = dict(zip(*np.unique(reference.labels, return_counts=True), strict=True))
    enough = [label for label, row in rows.items() if min(row["images"], real.get(label, 0)) > 1]
    for label, distance in class_frechet_distances(
        _by_class(store, labels, enough, reference)
    ).items():
        rows[label] |= {"real_images": int(real[label]), "frechet_distance": distance}
    fewest = min((min(rows[label]["images"], real[label]) for label in enough), default=None)
    width = store.widths["features"]
    if fewest is not None and fewest <= width:
        notes.append(
            f"{fewest:,} images in the smallest class for {width:,} features: distances within classes "
            "are too large; compare them at equal numbers only."
        )


def _note_missing(counts, real_labels, class_names, notes):
    """Names the classes of which there are images on one side only."""
    total = max(len(counts), 1 + int(real_labels.max()))
    generated = np.pad(counts, (0, total - len(counts)))
    real = np.bincount(real_labels, minlength=total)
    for meaning, ours, others in (("generated", generated, real), ("real", real, generated)):
        missing = [_name(label, class_names) for label in np.flatnonzero((ours < 2) & (others > 0))]
        if missing:
            notes.append(
                f"Fewer than two {meaning} images of {len(missing)} classes ({listed(missing, 10)}): left "
                "out of the distances within classes."
            )


def _name(label, class_names) -> str:
    known = class_names is not None and label < len(class_names)
    return class_names[label] if known else str(label)


def _by_class(store, labels, classes, reference) -> Iterator[tuple]:
    """Yields label, generated and real features, reading the store once per group of classes."""
    for group in _groups(np.bincount(labels), classes, 4 * store.widths["features"]):
        parts = {label: [] for label in group}
        start = 0
        for chunk in store.chunks("features"):
            here = labels[start : start + len(chunk)]
            start += len(chunk)
            for label in np.intersect1d(here, group):
                parts[label].append(chunk[here == label])
        for label in group:
            real = reference.features[reference.labels == label]
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
