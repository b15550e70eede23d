"""The pair of functions between stored and computed images."""

import numpy as np
import pytest

from tinygan_keras.images import to_float, to_uint8

LEVELS = np.arange(256, dtype="uint8").reshape(1, 16, 16, 1).repeat(3, axis=-1)


def test_every_level_survives_the_round_trip():
    np.testing.assert_array_equal(to_uint8(to_float(LEVELS)), LEVELS)


def test_float_images_span_minus_one_to_one():
    images = to_float(LEVELS)
    assert images.dtype == np.float32
    assert images.shape == LEVELS.shape
    assert (images.min(), images.max()) == (-1.0, 1.0)
    assert to_float(np.uint8([127, 128])) == pytest.approx([-1 / 255, 1 / 255], rel=1e-4)


def test_storing_rounds_to_the_nearest_level():
    """Truncation, the usual slip, would darken every image by half a level."""
    levels = np.array([99.6, 100.4, 100.6])
    np.testing.assert_array_equal(to_uint8(levels / 127.5 - 1.0), [100, 100, 101])


def test_storing_clips_instead_of_wrapping_around():
    np.testing.assert_array_equal(to_uint8([-1.5, -1.01, 1.01, 1.5]), [0, 0, 255, 255])
    assert to_uint8([0.0]).dtype == np.uint8


def test_storing_refuses_nan():
    with pytest.raises(ValueError, match="NaN in 50.0% of their values"):
        to_uint8([0.0, np.nan])
