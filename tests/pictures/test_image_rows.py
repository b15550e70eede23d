"""Rows of images: what lies where, what is written beside it, and how it is saved."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tinygan_keras.pictures.image_rows import class_grid, image_rows, save_gif, save_png

NAMES = ("T-shirt/top", "Trouser", "Bag")
# Texts and gaps are grey, so a coloured pixel belongs to an image.
RED, GREEN, BLUE, YELLOW = (200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0)


def images(*colours, size=32):
    """uint8 images of one colour each."""
    return (
        np.ones((len(colours), size, size, 3), "uint8") * np.array(colours, "uint8")[:, None, None]
    )


def box(canvas, colour):
    """Top, left, height and width of the only thing of this colour."""
    found = (canvas == colour).all(-1)
    rows, columns = np.flatnonzero(found.any(1)), np.flatnonzero(found.any(0))
    assert found.sum() == len(rows) * len(columns), "not one rectangle"
    return rows[0], columns[0], len(rows), len(columns)


def is_grey(canvas):
    return (canvas == canvas[..., :1]).all(-1)


def test_student_stands_right_below_its_teacher_enlarged_twice():
    canvas = class_grid(images(RED, GREEN), images(BLUE, YELLOW), [0, 1], NAMES)
    assert canvas.dtype == np.uint8
    for teacher, student in ((RED, BLUE), (GREEN, YELLOW)):
        top, left, height, width = box(canvas, teacher)
        assert (height, width) == (64, 64)
        assert box(canvas, student) == (top + height + 2, left, 64, 64)


def test_classes_go_down_the_blocks_in_order_of_their_labels():
    colours = images(RED, GREEN, BLUE)
    canvas = class_grid(colours, np.zeros_like(colours), [2, 0, 1], NAMES, blocks=2)
    first, second, third = (box(canvas, colour) for colour in (GREEN, BLUE, RED))
    assert first[1] == second[1]
    assert first[0] < second[0]
    assert third[0] == first[0]
    assert third[1] > first[1]


def test_images_of_a_class_stand_in_one_row_in_their_order():
    canvas = class_grid(images(RED, GREEN, BLUE), images(YELLOW, YELLOW, YELLOW), [0, 1, 0], NAMES)
    red, blue = box(canvas, RED), box(canvas, BLUE)
    assert red[0] == blue[0]
    assert blue[1] == red[1] + 64 + 2


def test_name_and_marks_are_written_into_the_margin():
    canvas = class_grid(images(RED), images(GREEN), [0], NAMES)
    top, left, height, _ = box(canvas, RED)
    beside_teacher = canvas[top : top + height, :left]
    beside_student = canvas[top + height + 2 : top + 2 * height + 2, :left]
    for margin in (beside_teacher, beside_student):
        assert is_grey(margin).all()
        assert margin.min() < 150
    other_name = class_grid(images(RED), images(GREEN), [1], NAMES)
    assert canvas.shape != other_name.shape or (canvas != other_name).any()


def test_long_names_are_cut_so_that_the_margin_stays_narrow():
    names = ["great white shark, white shark, man-eater", "x" * 200]
    canvas = class_grid(images(RED, GREEN), images(BLUE, YELLOW), [0, 1], names, blocks=1)
    assert box(canvas, RED)[1] < 200


def test_large_images_keep_their_size():
    canvas = class_grid(images(RED, size=128), images(GREEN, size=128), [0], NAMES)
    assert box(canvas, RED)[2:] == (128, 128)


def test_float_images_are_drawn_like_uint8():
    red, green = images(RED), images(GREEN)
    from_float = class_grid(red / 127.5 - 1.0, green / 127.5 - 1.0, [0], NAMES)
    assert np.array_equal(from_float, class_grid(red, green, [0], NAMES))


@pytest.mark.parametrize(
    ("teacher", "student", "labels", "message"),
    [
        (images(RED, RED), images(RED), [0, 0], "Expected pairs of one shape"),
        (images(RED), images(RED), [0, 1], r"labels int64 \(2,\)"),
        (images(RED), images(RED), [3], "from 0 to 2"),
        (images(RED), images(RED), [-1], "from 0 to 2"),
        (images(RED)[0, :1], images(RED)[0, :1], [0], r"Expected uint8 \[N, S, S, 3\]"),
        (images(RED)[:0], images(RED)[:0], np.zeros(0, int), "at least one"),
    ],
)
def test_grid_rejects_what_does_not_fit(teacher, student, labels, message):
    with pytest.raises(ValueError, match=message):
        class_grid(teacher, student, labels, NAMES)


def dark(canvas):
    """Whether anything is written there."""
    return is_grey(canvas).all() and canvas.min() < 150


def test_rows_lie_below_each_other_with_their_names():
    canvas = image_rows([images(RED, GREEN), images(BLUE)], ["Bag", "Coat, jacket"])
    red, green, blue = (box(canvas, colour) for colour in (RED, GREEN, BLUE))
    assert green == (red[0], red[1] + 66, 64, 64)
    assert blue == (red[0] + 70, red[1], 64, 64)
    names = [canvas[top : top + 64, : red[1]] for top in (red[0], blue[0])]
    assert all(dark(name) for name in names) and (names[0] != names[1]).any()


def test_columns_captions_frames_and_the_names_at_the_right():
    options = {"columns": ["0%", "100%"], "captions": [["", "1.25"]], "framed": [[False, True]]}
    canvas = image_rows(
        [images(RED, GREEN)], ["Bag"], right_names=["Coat"], rule_after=1, **options
    )
    top, left, _, _ = box(canvas, RED)
    green = box(canvas, GREEN)
    frame = box_around(canvas, (208, 0, 0), green)
    assert frame == (top, green[1] - 4, 64, 64) and green[2:] == (56, 56)
    assert green[1] - 4 - left > 66, "the line has room"
    assert dark(canvas[:top, left : left + 64])
    assert dark(canvas[top : top + 64, green[1] + 60 :])
    below = canvas[top + 64 :]
    assert (below[:, : left + 64] == 255).all() or dark(below[:, left + 70 - 8 : left + 74])
    assert not is_grey(below[:, green[1] :]).all(), "the caption of a framed image is red"


def box_around(canvas, colour, inner):
    """The box of what has a colour in the tile around another box."""
    top, left, height, width = (value for value in inner)
    tile = canvas[top - 4 : top + height + 4, left - 4 : left + width + 4]
    rows, columns = np.nonzero((tile == colour).all(-1))
    low, right = rows.min(), columns.min()
    size = rows.max() - low + 1, columns.max() - right + 1
    return top - 4 + low, left - 4 + right, *size


def test_blocks_have_headings_and_the_title_is_broken_where_the_picture_ends():
    rows = [images(RED), images(GREEN), images(BLUE)]
    plain = image_rows(rows, blocks=2)
    titled = image_rows(
        rows, blocks=2, headings=["left", "right"], title="Title", lines=["word " * 80]
    )
    assert titled.shape[1] > plain.shape[1] and titled.shape[0] > plain.shape[0] + 4 * 18
    red, green, blue = (box(titled, colour) for colour in (RED, GREEN, BLUE))
    assert red[1] == green[1] < blue[1] and red[0] == blue[0] < green[0]
    assert dark(titled[: red[0]])


def test_no_block_is_empty():
    one, two = (image_rows([images(RED)], ["Bag"], blocks=blocks).shape for blocks in (1, 2))
    assert one == two


def test_frames_have_one_size_whatever_the_step():
    shapes = {
        image_rows([images(RED), images(GREEN)], marks=("teacher", f"step {step}")).shape
        for step in (0, 1_000, 999_999)
    }
    assert len(shapes) == 1


def test_names_may_hold_what_is_mathematics_to_matplotlib():
    assert image_rows([images(RED)], ["$x_$ \\frac{"]).shape[2] == 3


def test_thumbnails_are_at_most_128_pixels():
    assert box(image_rows([images(RED, size=300)], thumbnails=True), RED)[2:] == (128, 128)
    assert box(image_rows([images(RED, size=300)]), RED)[2:] == (300, 300)


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        ([], []),
        ([images(RED), images(GREEN)], ["one"]),
        ([images(RED), images(GREEN, size=16)], ["one", "two"]),
        ([images(RED)[:0]], ["one"]),
    ],
)
def test_rows_that_do_not_fit_are_refused(rows, names):
    with pytest.raises(ValueError, match="at least one"):
        image_rows(rows, names)


def test_matplotlib_is_left_alone():
    program = (
        "import sys, matplotlib, numpy\n"
        "before = matplotlib.rcParams.copy()\n"
        "from tinygan_keras.pictures.image_rows import image_rows\n"
        "image_rows([numpy.zeros((1, 8, 8, 3), 'uint8')], ['Bag'])\n"
        "unwanted = ('matplotlib.pyplot', 'tensorflow')\n"
        "print([m for m in unwanted if m in sys.modules], before == matplotlib.rcParams.copy())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["[]", "True"]


def test_png_is_read_back_unchanged(tmp_path):
    canvas = image_rows([images(RED)], ["Bag"], tmp_path / "pictures" / "rows.png")
    path = save_png(canvas, tmp_path / "pictures" / "samples.png")
    assert path == tmp_path / "pictures" / "samples.png"
    with Image.open(path) as picture:
        assert np.array_equal(np.asarray(picture), canvas)
    names = sorted(file.name for file in path.parent.iterdir())
    assert names == ["rows.png", "samples.png"]
    assert (path.parent / "rows.png").read_bytes() == path.read_bytes()


def test_gif_plays_all_frames_for_ever_and_rests_on_the_last(tmp_path):
    colours = (RED, GREEN, BLUE)
    frames = [image_rows([images(colour)], ["step"]) for colour in colours]
    path = save_gif(frames, tmp_path / "training.gif", milliseconds=200)
    with Image.open(path) as animation:
        assert animation.format == "GIF"
        assert animation.n_frames == 3
        assert animation.info["loop"] == 0
        durations = []
        for index, colour in enumerate(colours):
            animation.seek(index)
            durations.append(animation.info["duration"])
            centre = np.asarray(animation.convert("RGB"))[40, -40]
            assert np.abs(centre.astype(int) - colour).max() <= 4
        assert durations == [200, 200, 1000]


def played(path):
    """The durations of an animation's frames, and the grey of each."""
    with Image.open(path) as animation:
        frames = []
        for index in range(animation.n_frames):
            animation.seek(index)
            frames.append((animation.info["duration"], np.asarray(animation.convert("L"))[0, 0]))
    return tuple(zip(*frames, strict=True))


def greys(count):
    return [np.full((4, 4, 3), 2 * index, "uint8") for index in range(count)]


@pytest.mark.parametrize(
    ("count", "seconds", "shown"), [(5, 3.0, 5), (100, 10.0, 100), (100, 2.0, 46), (100, 0.1, 2)]
)
def test_gif_lasts_as_long_as_was_chosen(tmp_path, count, seconds, shown):
    durations, colours = played(save_gif(greys(count), tmp_path / "run.gif", seconds=seconds))
    assert sum(durations) == 1000 * seconds
    assert len(durations) == shown
    assert min(durations) >= 30 or seconds < 0.2, "shorter frames are slowed down by browsers"
    assert max(durations) == durations[-1] == pytest.approx(5 * np.mean(durations[:-1]), abs=25)
    assert (colours[0], colours[-1]) == (0, 2 * (count - 1)), "the first and the last stay"
    assert list(colours) == sorted(set(colours)), "none is shown twice"


def test_gif_of_one_frame_may_have_a_duration(tmp_path):
    with Image.open(save_gif(greys(1), tmp_path / "run.gif", seconds=2)) as animation:
        assert animation.n_frames == 1


def test_a_legend_stands_below_the_rows_and_breaks_where_they_end():
    plain = image_rows([images(RED)])
    names = {f"class number {place}": "#00ff00" for place in range(6)}
    picture = image_rows([images(RED)], legend=names)
    np.testing.assert_array_equal(picture[: len(plain) - 8, : plain.shape[1]], plain[:-8])
    below = picture[len(plain) :]
    green = (below == [0, 255, 0]).all(-1)
    rows = np.flatnonzero(green.any(1))
    lines = 1 + np.count_nonzero(np.diff(rows) > 1)
    assert lines > 1 and len(below) == lines * 24
    squares = sum(np.count_nonzero(np.diff(np.r_[0, line])) == 1 for line in green[:, :1])
    assert green.sum() == pytest.approx(6 * 15 * 15, rel=0.2), squares


@pytest.mark.parametrize("frames", [[], [images(RED)[0], images(RED, size=16)[0]]])
def test_gif_rejects_frames_that_do_not_fit(tmp_path, frames):
    with pytest.raises(ValueError, match="all of one shape"):
        save_gif(frames, tmp_path / "training.gif")
    assert not list(tmp_path.iterdir())
