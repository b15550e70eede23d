"""Generated images beside their nearest real ones: what is framed, and what the header says."""

import numpy as np
import pytest

from tinygan_keras.pictures.neighbour_picture import (
    MemorisationScale,
    NeighbourBlock,
    memorisation_scale,
    neighbour_picture,
)

GREEN, BLUE, CYAN, YELLOW = (0, 200, 0), (0, 0, 200), (0, 200, 200), (200, 200, 0)
FRAME = (208, 0, 0)
SCALE = MemorisationScale(1.0, 2.0, 2.5, 1000, 10, 10.0, False)


def images(*colours, size=32):
    """uint8 images of one colour each."""
    return (
        np.ones((len(colours), size, size, 3), "uint8") * np.array(colours, "uint8")[:, None, None]
    )


def block(distances, neighbours=(BLUE, CYAN), generated=(GREEN,), size=32):
    distances = np.array(distances, "float32")
    real = images(*neighbours, size=size).reshape(*distances.shape, size, size, 3)
    return NeighbourBlock("Random", ["Bag"] * len(generated), images(*generated), real, distances)


def columns(canvas, colour):
    return np.flatnonzero((canvas == colour).all(-1).any(0))


def framed(canvas):
    return (canvas == FRAME).all(-1)


def test_nearest_real_images_stand_right_of_the_generated_one():
    canvas = neighbour_picture([block([[3.0, 4.0]])], SCALE, "all")
    green, blue, cyan = (columns(canvas, colour) for colour in (GREEN, BLUE, CYAN))
    assert len(green) == len(blue) == len(cyan) == 64
    assert green[-1] < blue[0] < blue[-1] < cyan[0]
    assert not framed(canvas).any()


def test_close_image_and_its_close_neighbours_are_framed():
    canvas = neighbour_picture([block([[0.5, 4.0]])], SCALE, "all")
    for colour, is_framed in ((GREEN, True), (BLUE, True), (CYAN, False)):
        own = columns(canvas, colour)
        assert len(own) == (64 - 2 * 4 if is_framed else 64)
        assert framed(canvas[:, own[0] : own[-1]]).any() == is_framed


def test_distances_are_written_below_the_neighbours():
    near, far = (neighbour_picture([block([[3.0, last]])], SCALE, "all") for last in (4.0, 7.0))
    changed = np.flatnonzero((near != far).any((0, 2)))
    cyan = columns(near, CYAN)
    assert cyan[0] <= changed[0]
    assert changed[-1] <= cyan[-1]


def test_blocks_stand_side_by_side():
    second = block([[3.0, 3.5]], (CYAN, CYAN), (YELLOW,))
    canvas = neighbour_picture([block([[3.0, 4.0]]), second], SCALE, "all")
    assert columns(canvas, GREEN)[-1] < columns(canvas, YELLOW)[0]


def test_real_images_of_another_size_are_shown_at_the_same_size():
    canvas = neighbour_picture([block([[3.0, 4.0]], size=50)], SCALE, "all")
    assert len(columns(canvas, BLUE)) == len(columns(canvas, GREEN)) == 64


def test_header_changes_with_the_verdict():
    calm = neighbour_picture([block([[3.0, 4.0]])], SCALE, "all")
    alarm = neighbour_picture([block([[3.0, 4.0]])], SCALE._replace(suspicious=True), "all")
    assert calm.shape != alarm.shape or (calm != alarm).any()


def test_scale_counts_what_is_closer_than_one_real_image_in_a_hundred():
    real = np.arange(101.0)  # the first percentile is exactly 1
    scale = memorisation_scale(real, [0.0, 0.5, 1.0, 60.0, 70.0])
    assert scale == MemorisationScale(
        threshold=1.0,
        real_median=50.0,
        generated_median=1.0,
        generated=5,
        close=2,
        expected=0.05,
        suspicious=True,
    )


def test_new_images_of_the_same_distribution_are_not_suspicious_and_copies_are():
    random = np.random.default_rng(0)
    real, new = random.gamma(3, size=5000), random.gamma(3, size=1000)
    scale = memorisation_scale(real, new)
    assert not scale.suspicious
    assert scale.close == pytest.approx(scale.expected, abs=8)
    assert memorisation_scale(real, np.r_[new[:900], np.zeros(100)]).suspicious
