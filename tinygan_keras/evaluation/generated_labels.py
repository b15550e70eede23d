"""The labels of the images that an evaluation generates."""

import numpy as np

from ..errors import InputError

SEED = 1_000_000  # far from the seeds of training, whose latents must not be judged
LABEL_LAWS = {
    "reference": "those of the real images, shuffled",
    "balanced": "each class in turn",
}


def draw_labels(law, count: int, generator, real_labels, seed: int):
    """The labels of images that are to be drawn.

    Args:
        law: "reference", "balanced", or "auto": "reference" where there are real labels; or a sequence of
            class numbers, which take turns.
        count: Number of labels.
        generator: Its `num_classes`, which may be None, bounds them.
        real_labels: Int `[K]`, or None.
        seed: Of the order of the real labels.

    Returns:
        The law's name in `LABEL_LAWS`, or a sentence for chosen classes; and labels int32 `[count]`.

    Raises:
        ValueError: there is no such law, it lacks what it needs, or a label is no class.
    """
    if not isinstance(law, str):
        labels = np.resize(np.asarray(law, "int32"), count)
        return f"{len(law)} classes in turn: {_ranges(law)}", labels
    if law == "auto":
        law = "balanced" if real_labels is None else "reference"
    if law not in LABEL_LAWS or (law == "reference" and real_labels is None):
        raise InputError(
            f"Got labels={law!r}. Expected 'balanced', or 'reference' with real images that have labels."
        )
    if law == "reference":
        order = np.random.default_rng(seed).permutation(len(real_labels))
        labels = np.resize(np.asarray(real_labels)[order], count).astype("int32")
    elif generator.num_classes is None:
        raise InputError(
            f"Got {generator.source}, which doesn't say how many classes it has. Expected real images "
            "with labels, whose labels are drawn; or give the run folder instead of the export."
        )
    else:
        labels = np.arange(count, dtype="int32") % generator.num_classes
    if generator.num_classes is not None and labels.max() >= generator.num_classes:
        raise InputError(
            f"Got real images with labels up to {labels.max()}, and {generator.num_classes} classes of "
            "the generator. Expected the same classes; choose the real images of these classes."
        )
    return law, labels


def _ranges(numbers) -> str:
    """Sorted numbers in short: (0, 1, 2, 7) is "0-2,7"."""
    runs = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
