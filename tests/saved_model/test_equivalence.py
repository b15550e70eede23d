"""The comparison that every export has to pass, and the latents that it and the calibration use."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras.saved_model.equivalence import check_equivalence, difference, evenly_spread


class Student(SimpleNamespace):
    """Gives one grey per class, moved by the latents times a factor."""

    def __init__(self, num_classes=4, factor=0.0):
        super().__init__(latent_dim=3, num_classes=num_classes, image_size=2, factor=factor)

    def __call__(self, inputs, training):
        latents, labels = (np.asarray(part, "float32") for part in inputs)
        grey = labels / self.num_classes + self.factor * latents.sum(1)
        return grey[:, None, None, None] * np.ones((1, 2, 2, 3), "float32")


def with_error(error, student=None):
    """The student's images and an error."""
    student = student or Student()
    return lambda latents, labels: student((latents, labels), training=False) + error


def test_worked_differences():
    found = difference(np.zeros((1, 8, 8, 3)), np.full((1, 8, 8, 3), 0.2))
    np.testing.assert_allclose(found, (0.2, 0.2, 20.0))  # 10 log10(4 / 0.04)
    assert difference(np.ones((1, 2, 2, 3)), np.ones((1, 2, 2, 3))) == (0.0, 0.0, float("inf"))


@pytest.mark.parametrize(
    ("precision", "small", "large"),
    [("float32", 0.9e-4, 1.1e-4), ("float16", 0.006, 0.0065), ("int8", 0.15, 0.16)],
)
def test_the_bound_of_each_precision(precision, small, large):
    """PSNR 50 dB is an error of 0.0063 everywhere, 22 dB one of 0.159."""
    assert check_equivalence(Student(), with_error(small), precision).mean_difference > 0
    with pytest.raises(
        ValueError, match=rf"Got {precision} images that differ .* Nothing was written"
    ):
        check_equivalence(Student(), with_error(large), precision)


def test_what_rounding_does_to_the_model_itself_is_allowed_but_not_what_could_be_seen():
    # The last bit of a latent of 1 to 2 is 1.2e-7, of which ten times makes a bound.
    rounded, wild = Student(factor=500.0), Student(factor=1e5)
    check_equivalence(rounded, with_error(2e-4, rounded))
    with pytest.raises(ValueError, match=r"Expected at most 0\.001 anywhere"):
        check_equivalence(wild, with_error(0.05, wild))


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_nan_never_passes(precision):
    with pytest.raises(ValueError, match="differ"):
        check_equivalence(Student(), with_error(np.nan), precision)


def test_a_model_that_has_diverged_is_refused():
    with pytest.raises(ValueError, match="not finite.*earlier checkpoint"):
        check_equivalence(Student(factor=np.inf), with_error(0.0))


def test_all_of_float32_is_multiplied_meanwhile():
    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    before, meanwhile = enabled(), []

    def draw(latents, labels):
        meanwhile.append(enabled())
        return with_error(0.0)(latents, labels)

    check_equivalence(Student(), draw)

    assert (set(meanwhile), enabled()) == ({False}, before)


@pytest.mark.parametrize(
    ("classes", "count", "labels"),
    [(3, 7, [0, 1, 2, 0, 1, 2, 0]), (1000, 4, [0, 250, 500, 750]), (4, 4, [0, 1, 2, 3])],
)
def test_labels_are_spread_over_all_classes(classes, count, labels):
    latents, found = evenly_spread(Student(classes), count, 0.5, seed=1)
    assert found.tolist() == labels
    assert latents.shape == (count, 3)
    assert np.abs(latents).max() <= 1.0
