import numpy as np
import pytest

from tinygan_keras.evaluation.metrics.labels import class_accuracies, label_accuracy

LOGITS = [[0.1, 0.9], [5.0, -1.0], [0.0, 1.0], [2.0, 1.0]]


def test_label_accuracy_counts_the_largest_logit():
    assert label_accuracy(LOGITS, [1, 0, 0, 0]) == 0.75


def test_class_accuracies_of_worked_logits():
    assert class_accuracies(LOGITS, [1, 0, 0, 0]) == {0: 2 / 3, 1: 1.0}


def test_class_accuracies_equal_their_numpy_twin_and_average_to_the_whole():
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(500, 7)), random.integers(0, 7, 500)
    accuracies = class_accuracies(logits, labels)
    for label in range(7):
        own = [row for row, wanted in zip(logits, labels, strict=True) if wanted == label]
        assert accuracies[label] == np.mean([max(row) == row[label] for row in own])
    sizes = np.bincount(labels)
    total = sum(accuracies[label] * sizes[label] for label in range(7)) / 500
    assert total == pytest.approx(label_accuracy(logits, labels))


def test_a_class_without_images_is_left_out():
    assert list(class_accuracies(np.eye(5)[[4, 2]], [4, 2])) == [2, 4]
