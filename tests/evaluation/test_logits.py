"""The Inception score and the accuracy of labels."""

from types import SimpleNamespace

import numpy as np
import pytest

from tinygan_keras import tfgan
from tinygan_keras.evaluation.metrics import logits as module


def inception_score(logits, splits=10):
    return module.inception_score([logits], len(logits), splits)


def random_logits(count, classes, seed=0):
    return 2 * np.random.default_rng(seed).normal(size=(count, classes))


def numpy_twin(logits, splits):
    """The textbook way: whole matrices of probabilities, one split after the other."""
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    scores = []
    for i in range(splits):
        part = probabilities[i * len(logits) // splits : (i + 1) * len(logits) // splits]
        divergences = np.sum(part * (np.log(part) - np.log(part.mean(axis=0))), axis=1)
        scores.append(np.exp(np.mean(divergences)))
    return np.mean(scores), np.std(scores)


def test_sure_and_balanced_images_score_the_number_of_classes():
    logits = np.tile(1000.0 * np.eye(5), (20, 1))
    assert inception_score(logits) == (pytest.approx(5.0), pytest.approx(0.0, abs=1e-12))


def test_unsure_images_score_one():
    assert inception_score(np.zeros((20, 7))) == (pytest.approx(1.0), pytest.approx(0.0, abs=1e-12))


def test_score_of_two_worked_images():
    # p = (0.8, 0.2) and (0.2, 0.8), their mean (0.5, 0.5):
    # KL = 0.8 log 1.6 + 0.2 log 0.4 for both, and the score its exponential.
    logits = np.log([[0.8, 0.2], [0.2, 0.8]])
    mean, deviation = inception_score(logits, splits=1)
    assert mean == pytest.approx(1.6**0.8 * 0.4**0.2)
    assert deviation == 0.0


def test_deviation_is_that_of_the_splits():
    # The first half is balanced and scores 2; the second holds one class and scores 1.
    logits = 1000.0 * np.eye(2)[[0, 1, 1, 1]]
    assert inception_score(logits, splits=2) == (pytest.approx(1.5), pytest.approx(0.5))


@pytest.mark.parametrize(("count", "splits"), [(200, 10), (203, 10), (10, 10), (50, 1)])
def test_score_equals_its_numpy_twin(count, splits):
    logits = random_logits(count, 6)
    assert inception_score(logits, splits) == pytest.approx(numpy_twin(logits, splits), rel=1e-12)


def test_score_of_one_split_equals_tf_gans():
    logits = random_logits(100, 10)
    theirs = tfgan.evaluation().classifier_score_from_logits(logits)
    assert inception_score(logits, splits=1)[0] == pytest.approx(float(theirs), rel=1e-6)


def test_score_of_ten_splits_is_the_mean_of_tf_gans():
    logits = random_logits(200, 4)
    score = tfgan.evaluation().classifier_score_from_logits
    theirs = [float(score(part)) for part in np.split(logits, 10)]
    expected = (np.mean(theirs), np.std(theirs))
    assert inception_score(logits) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("chunk", [1, 7, 50, 103])
def test_pieces_of_any_size_give_the_same_score(chunk):
    logits = random_logits(103, 5).astype("float32")
    pieces = (logits[start : start + chunk] for start in range(0, 103, chunk))
    assert module.inception_score(pieces, 103) == pytest.approx(inception_score(logits), rel=1e-12)


def test_large_logits_do_not_overflow():
    mean, _ = inception_score([[1e4, -1e4], [-1e4, 1e4]], splits=1)
    assert mean == pytest.approx(2.0)


def test_the_logits_are_left_as_they_were():
    logits = random_logits(20, 3)
    before = logits.copy()
    inception_score(logits)
    np.testing.assert_array_equal(logits, before)


def test_label_accuracy_counts_the_largest_logit():
    logits = [[0.1, 0.9], [5.0, -1.0], [0.0, 1.0], [2.0, 1.0]]
    assert module.label_accuracy(logits, [1, 0, 0, 0]) == 0.75


def test_classes_are_counted_on_their_own_and_absent_ones_left_out():
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(500, 7)), random.integers(0, 6, 500)
    images = SimpleNamespace(
        source=SimpleNamespace(labels=labels),
        extractor=SimpleNamespace(num_classes=7),
        num_classes=7,
        columns={"logits": SimpleNamespace(chunks=lambda: np.split(logits, 5))},
    )
    figures, _, classes, *_ = module.measure_label_accuracy(images)
    assert figures["label_accuracy"] == module.label_accuracy(logits, labels)
    assert list(classes) == list(range(6))
    for label, row in classes.items():
        own = [row for row, wanted in zip(logits, labels, strict=True) if wanted == label]
        assert row["label_accuracy"] == np.mean([max(row) == row[label] for row in own])
