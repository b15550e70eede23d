"""Whether conditional samples show the class they were made for, to a classifier and as lessons for one."""

import numpy as np

from ...classes.folder_labels import listed
from ...errors import InputError
from .registry import Figure, Measured, MeasuredImages, metric


@metric(
    "label_accuracy",
    {"label_accuracy": Figure("label accuracy", "higher", ".2%")},
    needs=("labels",),
    columns=("logits",),
)
def measure_label_accuracy(images: MeasuredImages) -> Measured:
    """The accuracy of all images and of each class, where the classifier can know these classes."""
    labels, known = images.source.labels, images.extractor_classes
    if labels.max() >= known or images.num_classes not in (None, known):
        classes = images.num_classes or int(labels.max()) + 1
        note = (
            f"The images have {classes} classes, the extractor's logits {known}: no label accuracy."
        )
        return Measured({}, (note,))
    predicted = np.concatenate(
        [chunk.argmax(axis=-1) for chunk in images.columns["logits"].chunks()]
    )
    counts = np.bincount(labels)
    hits = np.bincount(labels, weights=predicted == labels)
    classes = {
        int(label): {"label_accuracy": float(hits[label] / counts[label])}
        for label in np.flatnonzero(counts)
    }
    return Measured({"label_accuracy": float(hits.sum() / len(labels))}, classes=classes)


@metric(
    "classification_accuracy",
    {"classification_accuracy": Figure("classification accuracy score", "higher", ".2%")},
    needs=("labels", "classification_test"),
    columns=(),
)
def measure_classification_accuracy(images: MeasuredImages) -> Measured:
    """How well a classifier that is trained on the images knows real test images; takes minutes."""
    from .classification import classification_accuracy_score

    ours, test = images.source, images.classification_test
    score = classification_accuracy_score(
        ours.read(0, ours.count),
        ours.labels,
        test.read(0, test.count),
        test.labels,
        1 + int(max(ours.labels.max(), test.labels.max())),
        seed=images.seed,
        progress=images.progress,
    )
    missing = [str(label) for label in score["missing_classes"]]
    notes = ()
    if missing:
        notes = (
            f"The classifier learned from no image of {len(missing)} classes: {listed(missing, 10)}.",
        )
    settings = ("epochs", "train_images", "test_images", "parameters")
    protocol = {"test": test.fingerprint, **{name: score[name] for name in settings}}
    figures = {"classification_accuracy": score["accuracy"]}
    return Measured(figures, notes, protocol={"classification": protocol})


def label_accuracy(logits, labels) -> float:
    """Share of images that the classifier gives the label they were made for.

    Args:
        logits: Float `[N, C]`.
        labels: Int `[N]` in [0, C).

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: the lengths differ, there is no image, a label is out of range, or a logit is not a
            number.
    """
    logits, labels = _checked(logits, labels)
    return float(np.mean(logits.argmax(axis=-1) == labels))


def class_accuracies(logits, labels) -> dict[int, float]:
    """Label accuracy of each class: shows the classes a generator has lost.

    Args:
        logits: Float `[N, C]`.
        labels: Int `[N]` in [0, C).

    Returns:
        Accuracy in [0, 1] by label, ascending. Classes without an image are left out.

    Raises:
        ValueError: as in `label_accuracy`.

    Example:
        class_accuracies([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], [1, 1, 1])  # {1: 0.667}
    """
    logits, labels = _checked(logits, labels)
    correct = logits.argmax(axis=-1) == labels
    return {int(label): float(correct[labels == label].mean()) for label in np.unique(labels)}


def _checked(logits, labels):
    logits, labels = np.asarray(logits), np.asarray(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or not len(labels):
        raise InputError(
            f"Got logits of shape {logits.shape} and labels of shape {labels.shape}. Expected (N, C) "
            "and (N,) with at least one image, and integer labels rather than one-hot rows."
        )
    classes = logits.shape[1]
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= classes:
        raise InputError(
            f"Got labels of type {labels.dtype} from {labels.min()} to {labels.max()}. Expected integer "
            f"labels from 0 to {classes - 1}, one for each column of the logits."
        )
    invalid = np.isnan(logits).any(axis=1)
    if invalid.any():
        raise InputError(
            f"Got logits that are not a number in {invalid.sum():,} of {len(logits):,} rows, the first of "
            f"them row {invalid.argmax():,}. Expected numbers; look for NaN in those images."
        )
    return logits, labels
