"""Whether conditional samples show the class they were made for."""

import numpy as np


def label_accuracy(logits, labels) -> float:
    """Share of images that the classifier gives the label they were made for.

    Args:
        logits: Float `[N, C]`.
        labels: Int `[N]` in [0, C).

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: the lengths differ or there is no image.
    """
    logits, labels = np.asarray(logits), np.asarray(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or not len(labels):
        raise ValueError(
            f"Got logits of shape {logits.shape} and labels of shape {labels.shape}. Expected (N, C) "
            "and (N,) with at least one image, and integer labels rather than one-hot rows."
        )
    return float(np.mean(logits.argmax(axis=-1) == labels))
