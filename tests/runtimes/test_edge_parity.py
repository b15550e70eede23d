"""The comparison that every export has to pass, and the latents that it and the calibration use."""

from types import SimpleNamespace

import numpy as np
import pytest

from tinygan_keras.runtimes.calibration import calibration_batches, evenly_drawn
from tinygan_keras.runtimes.parity import check_parity, difference


class Student(SimpleNamespace):
    """Draws one grey per class."""

    def __init__(self, num_classes=4):
        super().__init__(latent_dim=3, num_classes=num_classes, image_size=2)

    def __call__(self, inputs, training):
        _, labels = inputs
        grey = np.asarray(labels, "float32")[:, None, None, None] / self.num_classes
        return grey * np.ones((1, 2, 2, 3), "float32")


def drawn_with(error):
    """A generator whose images are the student's and an error."""
    student = Student()
    return SimpleNamespace(
        form="a form",
        draw=lambda latents, labels: student((latents, labels), training=False) + error,
    )


def test_worked_differences():
    parity = difference(np.zeros((1, 8, 8, 3)), np.full((1, 8, 8, 3), 0.2))
    np.testing.assert_allclose(parity, (0.2, 0.2, 20.0))  # 10 log10(4 / 0.04)
    assert difference(np.ones((1, 2, 2, 3)), np.ones((1, 2, 2, 3))) == (0.0, 0.0, float("inf"))


@pytest.mark.parametrize(
    ("precision", "small", "large"),
    [("float32", 0.9e-4, 1.1e-4), ("float16", 0.006, 0.0065), ("int8", 0.15, 0.16)],
)
def test_the_bound_of_each_precision(precision, small, large):
    """PSNR 50 dB is an error of 0.0063 everywhere, 22 dB one of 0.159."""
    assert check_parity(Student(), drawn_with(small), precision, 0.5).mean_difference > 0
    with pytest.raises(ValueError, match="a form images that differ .* Nothing was written"):
        check_parity(Student(), drawn_with(large), precision, 0.5)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_nan_never_passes(precision):
    with pytest.raises(ValueError, match="differ"):
        check_parity(Student(), drawn_with(np.nan), precision, 0.5)


@pytest.mark.parametrize(
    ("classes", "count", "labels"),
    [(3, 7, [0, 1, 2, 0, 1, 2, 0]), (1000, 4, [0, 250, 500, 750]), (4, 4, [0, 1, 2, 3])],
)
def test_labels_are_spread_over_all_classes(classes, count, labels):
    latents, drawn = evenly_drawn(Student(classes), count, 0.5, seed=1)
    assert drawn.tolist() == labels
    assert latents.shape == (count, 3)
    assert 0.5 < np.abs(latents).max() <= 1.0 or count < 7


@pytest.mark.parametrize(("batch_size", "batches", "rows"), [(None, 8, 8), (1, 64, 1), (50, 2, 50)])
def test_calibration_batches_have_the_size_of_the_form(batch_size, batches, rows):
    drawn = calibration_batches(Student(), 0.5, batch_size)
    assert len(drawn) == batches
    assert {batch["z"].shape for batch in drawn} == {(rows, 3)}
    assert {batch["label"].dtype for batch in drawn} == {np.dtype("int32")}
    assert max(np.abs(batch["z"]).max() for batch in drawn) <= 1.0
