"""Inception score: whether a classifier is sure about each image, and unsure about all of them together.

The split into ten parts, their mean and their standard deviation follow the first program and most tables
of results. The score says nothing about real images, and depends on the classifier: logits of another
network than TF-GAN's Inception give a number of their own.
"""

import numpy as np

from ...errors import InputError
from .feature_rows import feature_rows
from .registry import SETTINGS, Figure, Measured, MeasuredImages, metric

_ROWS = 1000  # logits read at a time


class InceptionScoreAccumulator:
    """Inception score of logits that come in pieces; memory doesn't grow with their number.

    Part i of `splits` is the rows from `i * count // splits` to `(i + 1) * count // splits`. Where `count`
    isn't a multiple, parts differ in size by one row and count alike in the mean.

    Args:
        count: Rows that will come, at least `splits`.
        splits: Contiguous parts.

    Raises:
        ValueError: there are more parts than rows.

    Example:
        score = InceptionScoreAccumulator(count=50_000)
        for images in batches:
            score.update(extractor(images)[1])
        mean, deviation = score.score()

    Reference: Salimans et al., arXiv:1606.03498.
    """

    def __init__(self, count: int, splits: int = 10):
        if not 1 <= splits <= count:
            raise InputError(
                f"Got {count} images for {splits} splits. Expected at least one split and one image in "
                "each; thousands of images make a score that can be compared."
            )
        self.count, self.splits = count, splits
        self._ends = [(i + 1) * count // splits for i in range(splits)]
        self._seen = 0
        self._split = 0
        self._probabilities = None  # summed over the rows of each split, [splits, C]
        self._negative_entropies = np.zeros(splits)  # summed likewise

    def update(self, logits):
        """Takes in logits float `[n, C]` of the next n images.

        Raises:
            ValueError: another number of classes, more rows than announced, or a value that is not
                finite. No row is taken in then.
        """
        classes = None if self._probabilities is None else self._probabilities.shape[1]
        logits = feature_rows(logits, 0, classes, name="logits", first_row=self._seen)
        if self._seen + len(logits) > self.count:
            raise InputError(
                f"Got {self._seen + len(logits):,} rows of logits. Expected {self.count:,}, as announced; "
                "the parts of the score hang on the number of images."
            )
        if self._probabilities is None:
            self._probabilities = np.zeros((self.splits, logits.shape[1]))
        while len(logits):
            rows = logits[: self._ends[self._split] - self._seen]
            log_probabilities = _log_softmax(rows)
            probabilities = np.exp(log_probabilities)
            self._probabilities[self._split] += probabilities.sum(axis=0)
            self._negative_entropies[self._split] += np.sum(probabilities * log_probabilities)
            self._seen += len(rows)
            self._split += self._seen == self._ends[self._split]
            logits = logits[len(rows) :]

    def score(self) -> tuple[float, float]:
        """The score of all rows.

        Returns:
            Mean over the splits, a number in [1, C], and their standard deviation (divided by their
            number).

        Raises:
            ValueError: rows are missing.
        """
        if self._seen < self.count:
            raise InputError(
                f"Got {self._seen:,} rows of logits. Expected {self.count:,}, as announced, before the "
                "score is asked for."
            )
        sizes = np.diff([0, *self._ends])
        marginals = self._probabilities / sizes[:, None]
        # 0 log 0 is 0.
        entropies = -np.sum(marginals * np.log(np.where(marginals > 0, marginals, 1)), axis=1)
        scores = np.exp(self._negative_entropies / sizes + entropies)
        return float(scores.mean()), float(scores.std())


def inception_score(logits, splits: int = 10) -> tuple[float, float]:
    """`exp(mean over images of KL(p(y|x) || p(y)))`, mean and standard deviation over splits.

    Args:
        logits: Float `[N, C]`, in random order: parts are contiguous, and a part of few classes scores
            low.
        splits: Contiguous parts, at most N; see `InceptionScoreAccumulator`.

    Returns:
        Mean over the splits, a number in [1, C], and their standard deviation (divided by their number).

    Raises:
        ValueError: another shape, fewer rows than splits, or a value that is not finite.

    Example:
        features, logits = extractor(images)
        mean, deviation = inception_score(logits)

    Reference: Salimans et al., arXiv:1606.03498.
    """
    logits = feature_rows(logits, name="logits")
    accumulator = InceptionScoreAccumulator(len(logits), splits)
    accumulator.update(logits)
    return accumulator.score()


@metric(
    "inception_score",
    {
        "inception_score": Figure(
            "Inception score (sd of splits)", "higher", "#.4g", "inception_score_deviation"
        )
    },
    columns=("logits",),
)
def measure_inception_score(images: MeasuredImages) -> Measured:
    """The score of all images in random order, and the deviation over its splits."""
    column, splits = images.columns["logits"], SETTINGS["inception_splits"]
    if len(column) < splits:
        note = f"Fewer images than the {splits} splits of the Inception score: left out."
        return Measured({}, (note,))
    accumulator = InceptionScoreAccumulator(len(column), splits)
    for start in range(0, len(column), _ROWS):
        accumulator.update(column.take(images.order[start : start + _ROWS]))
    score, deviation = accumulator.score()
    return Measured({"inception_score": score, "inception_score_deviation": deviation})


def _log_softmax(logits):
    logits = logits.astype("float64")
    logits -= logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
