import numpy as np

from tinygan_keras.evaluation.metrics import within_classes


def test_classes_are_gathered_in_groups_that_fit_into_memory(monkeypatch):
    monkeypatch.setattr(within_classes, "_MEMORY", 100)
    counts = np.array([3, 1, 4, 9, 1])
    assert within_classes._groups(counts, [0, 1, 2, 3, 4], 20) == [[0, 1], [2], [3], [4]]
