"""Whether conditional samples show the class they were made for, to a classifier and as lessons for one."""

import numpy as np

from ...classes.folder_labels import listed
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
    """Share of images, logits float `[N, C]`, that get the label int `[N]` they were made for."""
    return float(np.mean(np.argmax(logits, axis=-1) == labels))


def class_accuracies(logits, labels) -> dict[int, float]:
    """Label accuracy of each class that has images, by label; shows the classes a generator has lost."""
    correct, labels = np.argmax(logits, axis=-1) == labels, np.asarray(labels)
    return {int(label): float(correct[labels == label].mean()) for label in np.unique(labels)}
