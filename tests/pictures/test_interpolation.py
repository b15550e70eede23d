"""Paths between latents and between classes, and the pictures along them."""

import numpy as np
import pytest

from tinygan_keras.pictures.interpolation import (
    class_interpolation,
    class_path,
    latent_interpolation,
    linear_path,
    spherical_path,
)

RED, GREEN, BLUE, YELLOW = (200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0)


def latents(count=2, length=64, seed=0):
    return np.random.default_rng(seed).normal(size=(count, length)).astype("float32")


def images(*colours, size=32):
    """uint8 images of one colour each."""
    return (
        np.ones((len(colours), size, size, 3), "uint8") * np.array(colours, "uint8")[:, None, None]
    )


def place(canvas, colour):
    """Top and left of the only thing of this colour, an enlarged image."""
    found = (canvas == colour).all(-1)
    rows, columns = np.flatnonzero(found.any(1)), np.flatnonzero(found.any(0))
    assert found.sum() == len(rows) * len(columns) == 64 * 64
    return rows[0], columns[0]


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


def test_norm_stays_on_the_great_circle_and_falls_on_the_line():
    start, end = latents(length=2000)
    around, straight = (path(start, end, 3)[1] for path in (spherical_path, linear_path))
    norm = np.sqrt(2000)
    assert np.linalg.norm(around) == pytest.approx(norm, rel=0.05)
    assert np.linalg.norm(straight) == pytest.approx(norm / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("path", [spherical_path, linear_path])
@pytest.mark.parametrize("steps", [2, 3, 10])
def test_ends_are_exact(path, steps):
    start, end = latents(seed=steps)
    points = path(start, end, steps)
    assert points.shape == (steps, 64)
    assert points.dtype == np.float32
    assert np.array_equal(points[0], start)
    assert np.array_equal(points[-1], end)


@pytest.mark.parametrize("angle", [0, 1e-9, 1e-6, 1e-3])
def test_nearly_parallel_ends_give_the_line(angle):
    start, end = np.array([1.0, 0]), 3 * np.array([np.cos(angle), np.sin(angle)])
    path = spherical_path(start, end, 5)
    assert path == pytest.approx(linear_path(start, end, 5), abs=1e-5)


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


@pytest.mark.parametrize(
    ("path", "arguments", "message"),
    [
        (spherical_path, ([1, 0], [1, 0, 0], 3), "two vectors of one length"),
        (spherical_path, ([[1, 0]], [[0, 1]], 3), "not a batch"),
        (linear_path, ([1, 0], [0, 1], 1), "Got 1 steps"),
        (spherical_path, ([1, 0], [-1, 0], 3), "opposite latents"),
        (spherical_path, ([1, 2], [-2, -4], 3), "opposite latents"),
        (spherical_path, ([1, np.nan], [0, 1], 3), "isn't finite"),
        (class_path, (0, 4, 4, 3), "Got class 4. Expected a number from 0 to 3"),
        (class_path, (-1, 2, 4, 3), "Got class -1"),
        (class_path, (0, 1, 4, 0), "Got 0 steps"),
    ],
)
def test_path_rejects_what_has_no_path(path, arguments, message):
    with pytest.raises(ValueError, match=message):
        path(*arguments)


def test_latents_run_from_left_to_right_and_classes_downwards():
    canvas = latent_interpolation([images(RED, GREEN), images(BLUE, YELLOW)], ["Bag", "Coat"])
    red, green, blue, yellow = (place(canvas, c) for c in (RED, GREEN, BLUE, YELLOW))
    assert red[0] == green[0] < blue[0] == yellow[0]
    assert red[1] == blue[1] < green[1] == yellow[1]


def test_class_picture_names_both_ends():
    rows = [images(RED, GREEN)]
    plain, left, right = (
        class_interpolation(rows, *names)
        for names in ((["Bag"], ["Bag"]), (["gaB"], ["Bag"]), (["Bag"], ["gaB"]))
    )
    top, first = place(plain, RED)
    _, last = place(plain, GREEN)
    row = slice(top, top + 64)
    assert plain.shape == left.shape == right.shape
    assert (plain[row, :first] != left[row, :first]).any()
    assert np.array_equal(plain[row, :first], right[row, :first])
    assert (plain[row, last + 64 :] != right[row, last + 64 :]).any()
    assert np.array_equal(plain[row, last + 64 :], left[row, last + 64 :])


def test_narrow_picture_is_widened_for_its_title():
    canvas = latent_interpolation([images(RED, GREEN)], ["Bag"])
    assert canvas.shape[1] >= 640
    assert (canvas[:30] < 128).any(), "no title"


def test_pictures_reject_rows_that_do_not_fit():
    one, two = images(RED), images(RED, GREEN)
    with pytest.raises(ValueError, match="a name for each"):
        latent_interpolation([two], ["Bag", "Coat"])
    with pytest.raises(ValueError, match="rows of one shape"):
        latent_interpolation([one, two], ["Bag", "Coat"])
    with pytest.raises(ValueError, match="at least one row"):
        latent_interpolation([], [])
    with pytest.raises(ValueError, match="a name for each"):
        class_interpolation([two], ["Bag"], [])
