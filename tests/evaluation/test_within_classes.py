import numpy as np
import pytest

from tinygan_keras.evaluation.metrics import within_classes
from tinygan_keras.evaluation.metrics.frechet import frechet_distance_of_features
from tinygan_keras.evaluation.metrics.within_classes import class_frechet_distances


def features(count, dimension, seed, offset=0.0):
    return offset + np.random.default_rng(seed).normal(size=(count, dimension))


def class_pairs():
    for label in (4, 0, 2):
        yield label, features(50, 3, seed=label), features(30, 3, seed=9 + label, offset=label)


def test_class_distances_are_those_of_each_class():
    distances = class_frechet_distances(class_pairs())
    assert list(distances) == [4, 0, 2]
    for label, first, second in class_pairs():
        assert distances[label] == frechet_distance_of_features(first, second)


def test_class_distances_take_one_class_at_a_time():
    taken = []

    def pairs():
        for label, first, second in class_pairs():
            taken.append(label)
            yield label, first, second if label != 0 else second[:1]

    with pytest.raises(ValueError, match="Class 0: Got features of shape"):
        class_frechet_distances(pairs())
    assert taken == [4, 0]


def test_classes_are_gathered_in_groups_that_fit_into_memory(monkeypatch):
    monkeypatch.setattr(within_classes, "_MEMORY", 100)
    counts = np.array([3, 1, 4, 9, 1])
    assert within_classes._groups(counts, [0, 1, 2, 3, 4], 20) == [[0, 1], [2], [3], [4]]
