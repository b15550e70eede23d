"""Which labels an evaluation generates."""

from types import SimpleNamespace

import numpy as np
import pytest

from tinygan_keras.evaluation.generated_labels import draw_labels


def generator(num_classes=5):
    return SimpleNamespace(source="painter", num_classes=num_classes)


def test_balanced_labels_take_turns():
    law, labels = draw_labels("auto", 7, generator(), None, seed=0)
    assert (law, labels.tolist()) == ("balanced", [0, 1, 2, 3, 4, 0, 1])


def test_real_labels_are_shuffled_and_used_equally_often():
    real = np.repeat([0, 1, 4], [4, 2, 6])
    law, labels = draw_labels("auto", 24, generator(), real, seed=0)
    assert law == "reference"
    assert np.bincount(labels).tolist() == [8, 4, 0, 0, 12]
    assert labels[:12].tolist() != real.tolist()


@pytest.mark.parametrize(
    ("law", "real", "classes", "message"),
    [
        ("reference", None, 5, "with real images that have labels"),
        ("uniform", None, 5, "Expected 'balanced'"),
        ("balanced", None, None, "how many classes"),
        ("auto", [5], 5, "labels up to 5, and 5 classes"),
    ],
)
def test_a_law_of_labels_needs_what_it_draws_from(law, real, classes, message):
    with pytest.raises(ValueError, match=message):
        draw_labels(law, 4, generator(num_classes=classes), real, seed=0)
