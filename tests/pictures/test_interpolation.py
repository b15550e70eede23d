"""Paths between latents and between classes."""

import numpy as np
import pytest

from tinygan_keras.pictures.interpolation import class_path, spherical_path


def latents(count=2, length=64, seed=0):
    return np.random.default_rng(seed).normal(size=(count, length)).astype("float32")


def test_quarter_circle_in_thirds():
    # 90 degrees in three steps: 0, 30, 60, 90 degrees.
    path = spherical_path([2, 0], [0, 2], 4)
    half, long = 1.0, np.sqrt(3)
    assert path == pytest.approx(np.array([[2, 0], [long, half], [half, long], [0, 2]]), abs=1e-6)


def test_spherical_path_equals_rotation_in_the_plane_of_its_ends():
    """The twin turns the first end by equal angles, in a basis of the plane."""
    start, end = latents()
    end *= np.linalg.norm(start) / np.linalg.norm(end)
    first = start / np.linalg.norm(start)
    second = end - (end @ first) * first
    second /= np.linalg.norm(second)
    whole = np.arctan2(end @ second, end @ first)
    angles = np.linspace(0, whole, 7)[:, None]
    expected = np.linalg.norm(start) * (np.cos(angles) * first + np.sin(angles) * second)
    assert spherical_path(start, end, 7) == pytest.approx(expected, abs=1e-5)


def test_norm_stays_on_the_great_circle():
    middle = spherical_path(*latents(length=2000), 3)[1]
    assert np.linalg.norm(middle) == pytest.approx(np.sqrt(2000), rel=0.05)


@pytest.mark.parametrize("steps", [2, 3, 10])
def test_ends_are_exact(steps):
    start, end = latents(seed=steps)
    points = spherical_path(start, end, steps)
    assert points.shape == (steps, 64)
    assert points.dtype == np.float32
    assert np.array_equal(points[0], start)
    assert np.array_equal(points[-1], end)


@pytest.mark.parametrize("angle", [0, 1e-9, 1e-6, 1e-3])
def test_nearly_parallel_ends_give_the_line(angle):
    start, end = np.array([1.0, 0]), 3 * np.array([np.cos(angle), np.sin(angle)])
    path = spherical_path(start, end, 5)
    assert path == pytest.approx(np.linspace(start, end, 5), abs=1e-5)


def test_zero_has_no_direction_and_is_joined_by_the_line():
    assert spherical_path([0, 0], [2, 4], 3).tolist() == [[0, 0], [1, 2], [2, 4]]


def test_class_path_moves_weight_from_one_class_to_the_other():
    path = class_path(3, 1, num_classes=4, steps=5)
    assert path.tolist() == [
        [0, 0, 0, 1],
        [0, 0.25, 0, 0.75],
        [0, 0.5, 0, 0.5],
        [0, 0.75, 0, 0.25],
        [0, 1, 0, 0],
    ]
    assert path.dtype == np.float32


def test_class_path_to_itself_stays():
    assert class_path(1, 1, 2, 3).tolist() == [[0, 1]] * 3


@pytest.mark.parametrize("end", [[-1, 0], [-3, 0]])
def test_opposite_ends_have_no_one_path(end):
    with pytest.raises(ValueError, match="opposite latents"):
        spherical_path([1, 0], end, 3)
