"""The kernels, by weights worked out by hand on one row of pixels."""

import numpy as np
import pytest

from tinygan_keras.evaluation.extractors.extractor import KERNELS, resized


def first_weights(kernel, old_size, new_size):
    """The weights with which the first pixel of the new row sees the old row."""
    images = np.zeros((old_size, old_size, old_size, 3), "float32")
    for column in range(old_size):
        images[column, :, column] = 1.0  # image number `column` is white there and grey elsewhere
    return np.asarray(resized(images, new_size, kernel))[:, 0, 0, 0]


@pytest.mark.parametrize(
    ("kernel", "weights"),
    [
        # The new pixel's centre lies at 1.0, between the centres 0.5 and 1.5 of two old pixels.
        ("bilinear", [1 / 2, 1 / 2, 0, 0]),
        ("area", [1 / 2, 1 / 2, 0, 0]),
        # The triangle, stretched to radius 2: 1 - 0.5/2 twice, then 1 - 1.5/2, out of 7/4.
        ("bilinear+antialias", [3 / 7, 3 / 7, 1 / 7, 0]),
        # Keys' cubic with a = -1/2 at distances 1/2, 1/2, 3/2: 9/16, 9/16, -1/16, out of 17/16.
        ("bicubic", [9 / 17, 9 / 17, -1 / 17, 0]),
        # The same cubic at distances 1/4, 1/4, 3/4, 5/4, as 111, 111, 29, -9 parts of 128.
        ("bicubic+antialias", [111 / 242, 111 / 242, 29 / 242, -9 / 242]),
    ],
)
def test_halving_weighs_pixels_as_the_kernel_says(kernel, weights):
    assert first_weights(kernel, 4, 2) == pytest.approx(np.array(weights), abs=1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_enlarged_edge_stays_in_range(kernel):
    images = np.full((1, 4, 4, 3), -1.0, "float32")
    images[:, :, 2:] = 1.0
    enlarged = np.asarray(resized(images, 16, kernel))
    assert enlarged.shape == (1, 16, 16, 3)
    assert (enlarged.min(), enlarged.max()) == (-1.0, 1.0)


def test_doubling_is_linear_between_pixel_centres():
    images = np.broadcast_to(np.float32([-1, 1])[None, None, :, None], (1, 2, 2, 3))
    row = np.asarray(resized(images, 4, "bilinear"))[0, 0, :, 0]
    assert row == pytest.approx([-1, -0.5, 0.5, 1], abs=1e-6)


def test_antialias_makes_no_difference_when_enlarging():
    images = np.random.default_rng(0).uniform(-1, 1, (2, 5, 5, 3)).astype("float32")
    plain, smoothed = (resized(images, 13, f"bilinear{end}") for end in ("", "+antialias"))
    assert np.asarray(plain) == pytest.approx(np.asarray(smoothed), abs=1e-6)
