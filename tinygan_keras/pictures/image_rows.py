"""Rows of images with their names at the left: the one picture from which all others are made.

Scope: uint8 pictures `[H, W, 3]`, and their files. All of it is Pillow's, but for matplotlib's font.
"""

import functools
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import InputError
from ..files import new_file
from ..images import check_images, check_labels, to_uint8

_TILE, _LARGEST_TILE = 64, 128  # smaller images are enlarged by a whole factor, 32 pixels twice
_SEAM, _PAD, _ROW_GAP, _GROUP_GAP, _BLOCK_GAP = 2, 8, 6, 14, 28  # in pixels
_BLACK, _GREY, _RULE, _RED = "#1a1a1a", "#6a6a6a", "#a0a0a0", "#d00000"
_TITLE, _NAME, _LINE, _MARK = 20, 14, 12, 11  # sizes of texts
_LEAST_TITLE_WIDTH, _LEAST_MARK_WIDTH, _MOST_NAME_WIDTH = 640, 80, 120
_TITLE_HEIGHT, _LINE_HEIGHT, _CAPTION_HEIGHT, _HEADING_HEIGHT, _FRAME_WIDTH = 27, 18, 16, 32, 4
_LEGEND_HEIGHT = 24
_REST, _SHORTEST_FRAME = 5, 40  # frames that an animation rests on its last; milliseconds


def image_rows(
    rows,  # for each row its images, uint8 or float in [-1, 1], [N, S, S, 3], S the same in all
    names=None,  # a text for each row, at its left; with marks, for each group of len(marks) rows
    path=None,  # where the picture is written as PNG
    *,
    marks=("",),  # small texts at the left of the rows of a group, such as ("teacher", "student")
    right_names=(),  # a text for each row, at its right
    columns=(),  # small texts above the columns
    captions=None,  # for each row a list of small texts below its images
    framed=None,  # for each row a list of bool: which images get a red frame, and a red caption
    rule_after=0,  # after how many columns there is a vertical line
    blocks=1,  # over how many columns of rows the groups are distributed
    headings=(),  # a text above each block
    title="",
    lines=(),  # the sentences below the title
    legend=None,  # names and their colours, below the rows
    thumbnails=False,  # whether images of more than 128 pixels are made smaller
) -> np.ndarray:
    """Shows rows of images below each other, uint8 `[H, W, 3]`; marks don't change its size."""
    rows = [np.asarray(row) for row in rows]
    rows = [check_images(row if row.dtype == np.uint8 else to_uint8(row)) for row in rows]
    if thumbnails:
        rows = [resized(row, min(row.shape[1], _LARGEST_TILE)) for row in rows]
    group = len(marks)
    names = [""] * (len(rows) // group) if names is None else [shortened(name) for name in names]
    if not rows or len({row.shape[1] for row in rows}) != 1 or len(names) * group != len(rows):
        raise InputError(
            f"Got {len(rows)} rows of images {sorted({row.shape[1:] for row in rows})} and {len(names)} "
            f"names. Expected at least one row, images of one size, and a name for every {group} rows."
        )
    right_names = [shortened(name) for name in right_names]

    tile = rows[0].shape[1] * max(1, _TILE // rows[0].shape[1])
    left = _widest(names, _NAME)
    if any(marks):  # without names the margin is of one width, as are the frames of an animation
        left += max(0 if any(names) else _LEAST_MARK_WIDTH + _PAD, _widest(marks, _MARK))
    places = np.arange(max(map(len, rows)) + 1) * (tile + _SEAM)  # of columns
    places[rule_after:] += _GROUP_GAP if rule_after else 0
    right = places[-1] - _SEAM
    block_width = left + right + _widest(right_names, _NAME) + _BLOCK_GAP
    groups = -(-len(names) // blocks)  # of a block
    blocks = -(-len(names) // groups)  # without empty ones
    width = int(blocks * block_width) - _BLOCK_GAP
    width = max(width, _LEAST_TITLE_WIDTH) if title else width
    row_height = tile + (_CAPTION_HEIGHT if captions else 0)
    gap = _GROUP_GAP if group > 1 else _ROW_GAP
    group_height = group * (row_height + _SEAM) - _SEAM + gap
    header = _header(title, lines, width)
    top = _PAD + sum(height for *_, height in header) + (_GROUP_GAP if title else 0)
    first_row = top + _HEADING_HEIGHT * bool(headings) + _CAPTION_HEIGHT * bool(columns)

    legend_top = first_row + groups * group_height - gap + _PAD
    entries = _legend_places(legend or {}, width)
    legend_lines = entries[-1][1] + 1 if entries else 0
    size = width + 2 * _PAD, legend_top + legend_lines * _LEGEND_HEIGHT
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    y = _PAD
    for text, text_size, colour, height in header:
        _write(draw, _PAD, y + height / 2, text, text_size, colour)
        y += height
    for block, text in enumerate(headings):
        _write(draw, _PAD + block * block_width, top + _HEADING_HEIGHT / 2, text, _NAME, _BLACK)
    for number, images in enumerate(rows):
        group_number, row = divmod(number, group)
        block, place = divmod(group_number, groups)
        x = _PAD + block * block_width + left
        y = first_row + place * group_height + row * (row_height + _SEAM)
        middle = y + tile / 2
        if row == 0:
            middle_of_group = middle + (group - 1) * (row_height + _SEAM) / 2
            _write(draw, x - left, middle_of_group, names[group_number], _NAME, _BLACK)
        if place == row == 0:
            for text, column in zip(columns, places, strict=False):
                centre = x + column + tile / 2
                _write(draw, centre, y - _CAPTION_HEIGHT / 2, text, _MARK, anchor="mm")
        _write(draw, x - _PAD, middle, marks[row], _MARK, anchor="rm")
        if right_names:
            _write(draw, x + right + _PAD, middle, right_names[number], _NAME, _BLACK)
        if rule_after:
            rule = x + places[rule_after] - _GROUP_GAP // 2 - 1
            draw.line([rule, y, rule, y + row_height - 1], fill=_RULE)
        for column, image in enumerate(images):
            start, is_framed = x + places[column], framed is not None and framed[number][column]
            enlarged = Image.fromarray(image).resize((tile, tile), Image.Resampling.NEAREST)
            picture.paste(enlarged, (int(start), y))
            if is_framed:
                box = [start, y, start + tile - 1, y + tile - 1]
                draw.rectangle(box, outline=_RED, width=_FRAME_WIDTH)
            if captions:
                text, colour = captions[number][column], _RED if is_framed else _GREY
                below = y + tile + _CAPTION_HEIGHT / 2
                _write(draw, start + tile / 2, below, text, _MARK, colour, "mm")
    for x, line, name, colour in entries:
        y = legend_top + (line + 0.5) * _LEGEND_HEIGHT
        box = [x, y - _NAME / 2, x + _NAME, y + _NAME / 2]
        draw.rectangle(box, fill=colour)
        _write(draw, x + _NAME + _PAD, y, name, _NAME, _BLACK)
    picture = np.array(picture)
    if path is not None:
        save_png(picture, path)
    return picture


def class_grid(teacher_images, student_images, labels, class_names, blocks=2) -> np.ndarray:
    """Shows class by class the teacher's images and right below them the student's for the same z.

    Args:
        teacher_images: uint8 or float in [-1, 1], `[N, S, S, 3]`.
        student_images: The same for the student, from the same latents and labels.
        labels: Int `[N]`; images of one class need not be neighbours.
        class_names: Name per label, shown in the left margin.
        blocks: Side-by-side columns over which the classes are distributed.

    Returns:
        uint8 `[H, W, 3]`.

    Raises:
        InputError: the shapes differ, or a label has no name.
    """
    teacher, student = np.asarray(teacher_images), np.asarray(student_images)
    if teacher.shape != student.shape:
        raise InputError(
            f"Got teacher images {teacher.shape} and student images {student.shape}. Expected pairs of one "
            "shape; generate both from the same z."
        )
    labels = check_labels(labels, len(teacher), len(class_names), "the teacher and the student")
    present = np.unique(labels)
    rows = [side[labels == label] for label in present for side in (teacher, student)]
    names = [class_names[label] for label in present]
    return image_rows(rows, names, marks=("teacher", "student"), blocks=blocks)


def save_png(picture, path):
    """Writes one uint8 picture `[H, W, 3]`, whole or not at all; returns the path."""
    with new_file(path) as aside:
        Image.fromarray(picture).save(aside, format="PNG")
    return path


def save_gif(frames, path, milliseconds=400, seconds=None):
    """Writes an endless animation of pictures uint8 `[H, W, 3]`, which rests five times as long on its last.

    With `seconds` a round takes that long, in place of `milliseconds` for each frame. Where frames would be
    too short for browsers, which slow these down, some are left out; the first and the last stay.
    """
    if len({frame.shape for frame in frames}) != 1:
        raise InputError(
            f"Got frames {[frame.shape for frame in frames]}. Expected at least one, all of one shape."
        )
    if seconds is not None:
        most = max(2, int(1000 * seconds / _SHORTEST_FRAME) - _REST + 1)
        places = np.linspace(0, len(frames) - 1, min(most, len(frames)))
        frames = [frames[place] for place in places.round().astype(int)]
        # The format counts in hundredths of a second: to round the ends of frames keeps their sum.
        ends = np.append(np.arange(len(frames)), len(frames) - 1 + _REST) / (
            len(frames) - 1 + _REST
        )
        durations = (10 * np.diff(np.round(100 * seconds * ends))).astype(int).tolist()
    else:
        durations = [milliseconds] * (len(frames) - 1) + [_REST * milliseconds]
    first, *others = [Image.fromarray(frame).quantize() for frame in frames]
    with new_file(path) as aside:
        first.save(aside, "GIF", save_all=True, append_images=others, duration=durations, loop=0)
    return path


def resized(images, size) -> np.ndarray:
    """Images uint8 `[N, S, S, 3]` of another size, for people to look at and not for measuring."""
    if images.shape[1] == size:
        return images
    smaller = [Image.fromarray(i).resize((size, size), Image.Resampling.LANCZOS) for i in images]
    return np.stack([np.asarray(image) for image in smaller])


def shortened(name: str) -> str:
    """The first of several comma-separated names, on one line, cut where the margin ends."""
    name = end = " ".join(name.split(",")[0].split())
    while _font(_NAME).getlength(end) > _MOST_NAME_WIDTH:
        name = name[:-1]
        end = name.rstrip() + "..."
    return end


def three_digits(value) -> str:
    """A number with three digits, zeros at the end included, so that many of them read alike."""
    return f"{value:#.3g}".rstrip(".")


def _header(title, lines, width) -> list:
    """Lines of text with size, colour and height, broken where the picture ends."""
    found = []
    texts = [(title, _TITLE, _BLACK, _TITLE_HEIGHT)]
    texts += [(line, _LINE, _GREY, _LINE_HEIGHT) for line in lines]
    for text, size, colour, height in texts:
        words = text.split()
        while words:
            count = len(words)
            while count > 1 and _font(size).getlength(" ".join(words[:count])) > width:
                count -= 1
            found.append((" ".join(words[:count]), size, colour, height))
            words = words[count:]
    return found


def _legend_places(legend, width) -> list:
    """For each entry of a legend its left end, its line, its name and its colour."""
    places, x, line = [], _PAD, 0
    for name, colour in legend.items():
        taken = _NAME + _PAD + _font(_NAME).getlength(name)
        if x > _PAD and x + taken > width + _PAD:
            x, line = _PAD, line + 1
        places.append((x, line, name, colour))
        x += taken + 2 * _PAD
    return places


def _widest(texts, size) -> int:
    """Pixels that the widest text and the white beside it take."""
    width = max(map(_font(size).getlength, texts), default=0)
    return round(width) + _PAD if width else 0


def _write(draw, x, y, text, size, colour=_GREY, anchor="lm"):
    draw.text((x, y), text, fill=colour, font=_font(size), anchor=anchor)


@functools.cache
def _font(size):
    from matplotlib import get_data_path

    return ImageFont.truetype(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)
