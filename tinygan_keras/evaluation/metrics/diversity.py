"""Vendi score: how many different images there are, as far as features tell them apart."""

import numpy as np

from .registry import Figure, Measured, MeasuredImages, metric


@metric(
    "vendi_score",
    {"vendi_score": Figure("Vendi score", "higher", "#.4g")},
    optional=True,
)
def measure_vendi_score(images: MeasuredImages) -> Measured:
    """The score of all images; it looks at no real ones, so noise may score high."""
    column = images.columns["features"]
    return Measured({"vendi_score": vendi_score(column.chunks(), len(column))})


def vendi_score(chunks, count: int) -> float:
    """The exponential of the entropy of the eigenvalues of `K / N`, K the cosines of all pairs.

    From 1, if all images are alike, to the smaller of N and F. `chunks` yields the features, float `[n, F]`,
    of all `count` images. With X the features over their lengths, the eigenvalues are also those of
    `X^T X / N`, which is F x F. Features that are all 0 are like no others.

    Reference: Friedman & Dieng, arXiv:2210.02410, with the cosine as the similarity.
    """
    products = 0.0
    for rows in chunks:
        rows = np.asarray(rows, "float64")
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows / np.where(lengths > 0, lengths, 1)
        products = products + rows.T @ rows
    values = np.linalg.eigvalsh(products / count)
    values = values[values > 0]
    return float(np.exp(-np.sum(values * np.log(values))))
