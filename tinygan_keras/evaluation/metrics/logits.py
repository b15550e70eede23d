"""What a classifier's logits say of images: the Inception score, and whether they show their class.

Neither looks at real images, and both depend on the classifier: only the logits of TF-GAN's Inception give
the Inception score of published tables.
"""

import numpy as np

from .registry import SETTINGS, Figure, Measured, MeasuredImages, metric

_ROWS = 1000  # logits read at a time


@metric(
    "inception_score",
    {
        "inception_score": Figure(
            "Inception score (sd of splits)", "higher", "#.4g", "inception_score_deviation"
        )
    },
    needs=("logits",),
    columns=("logits",),
)
def measure_inception_score(images: MeasuredImages) -> Measured:
    """The score of all images in random order, and the deviation over its splits."""
    column, splits = images.columns["logits"], SETTINGS["inception_splits"]
    if len(column) < splits:
        note = f"Fewer images than the {splits} splits of the Inception score: left out."
        return Measured({}, (note,))
    starts = range(0, len(column), _ROWS)
    chunks = (column.take(images.order[start : start + _ROWS]) for start in starts)
    score, deviation = inception_score(chunks, len(column), splits)
    return Measured({"inception_score": score, "inception_score_deviation": deviation})


def inception_score(chunks, count: int, splits: int = 10) -> tuple[float, float]:
    """`exp(mean over images of KL(p(y|x) || p(y)))`, mean and standard deviation over contiguous splits.

    `chunks` yields the logits, float `[n, C]`, of all `count` images in random order, since a split of few
    classes scores low. Split i is the images from `i * count // splits` on, as in most tables of results.

    Reference: Salimans et al., arXiv:1606.03498.
    """
    ends = np.arange(1, splits + 1) * count // splits
    probabilities, negative_entropies = 0.0, np.zeros(splits)  # summed over each split
    start = 0
    for logits in chunks:
        log_p = _log_softmax(np.asarray(logits, "float64"))
        p = np.exp(log_p)
        split = np.searchsorted(ends, np.arange(start, start + len(p)), side="right")
        members = (np.arange(splits)[:, None] == split).astype("float64")
        probabilities = probabilities + members @ p
        negative_entropies += members @ np.sum(p * log_p, axis=1)
        start += len(p)
    sizes = np.diff([0, *ends])
    marginals = probabilities / sizes[:, None]
    # 0 log 0 is 0.
    entropies = -np.sum(marginals * np.log(np.where(marginals > 0, marginals, 1)), axis=1)
    scores = np.exp(negative_entropies / sizes + entropies)
    return float(scores.mean()), float(scores.std())


@metric(
    "label_accuracy",
    {"label_accuracy": Figure("label accuracy", "higher", ".2%")},
    needs=("labels", "logits"),
    columns=("logits",),
)
def measure_label_accuracy(images: MeasuredImages) -> Measured:
    """The accuracy of all images and of each class, where the classifier can know these classes."""
    labels, known = images.source.labels, images.extractor.num_classes
    if labels.max() >= known or images.num_classes not in (None, known):
        count = images.num_classes or labels.max() + 1
        note = (
            f"The images have {count} classes, the extractor's logits {known}: no label accuracy."
        )
        return Measured({}, (note,))
    chunks = images.columns["logits"].chunks()
    correct = np.concatenate([chunk.argmax(axis=-1) for chunk in chunks]) == labels
    classes = {
        label: {"label_accuracy": float(correct[labels == label].mean())}
        for label in np.unique(labels).tolist()
    }
    return Measured({"label_accuracy": float(correct.mean())}, classes=classes)


def label_accuracy(logits, labels) -> float:
    """Share of images, logits float `[N, C]`, that get the label int `[N]` they were made for."""
    return float(np.mean(np.argmax(logits, axis=-1) == labels))


def _log_softmax(logits):
    logits = logits - logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
