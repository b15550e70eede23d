"""Rows of images with their names at the left: the one picture from which all others are made.

Scope: uint8 pictures `[H, W, 3]`, and their files. Images are placed pixel by pixel, text by matplotlib.

Rejected: `pyplot`. It keeps figures and a backend for the whole process, which a library must not touch.
"""

import functools
from typing import NamedTuple

import numpy as np
from PIL import Image

from ..errors import InputError
from ..files import new_file
from ..images import to_uint8

_TILE, _LARGEST_TILE = 64, 128  # smaller images are enlarged by a whole factor, 32 pixels twice
_SEAM, _PAD, _ROW_GAP, _GROUP_GAP, _BLOCK_GAP = 2, 8, 6, 14, 28  # in pixels
_BLACK, _GREY, _RED = "#1a1a1a", "#6a6a6a", "#d00000"
_RULE, _FRAME = (160, 160, 160), (208, 0, 0)
_TITLE, _NAME, _LINE, _MARK = 14.5, 10, 9, 8  # sizes of texts, in points
_DPI = 100
_LEAST_TITLE_WIDTH, _LEAST_MARK_WIDTH, _MOST_NAME_WIDTH = 640, 80, 120
_LINE_HEIGHT, _CAPTION_HEIGHT, _HEADING_HEIGHT, _FRAME_WIDTH = 18, 16, 32, 4


class _Text(NamedTuple):
    x: float
    y: float  # of its middle
    text: str
    size: float
    colour: str = _GREY
    side: str = "left"  # of the text, at x


def image_rows(
    rows,
    names=None,
    path=None,
    *,
    marks=None,
    right_names=None,
    columns=None,
    captions=None,
    framed=None,
    rule_after=0,
    blocks=1,
    headings=None,
    title="",
    lines=(),
    thumbnails=False,
) -> np.ndarray:
    """Shows rows of images below each other.

    Args:
        rows: List of rows, each images uint8 or float in [-1, 1], `[N, S, S, 3]`, S the same in all.
        names: A text for each row, at its left; with `marks`, for each group of `len(marks)` rows.
        path: Where the picture is written as PNG; None for nowhere.
        marks: Small texts at the left of the rows of every group, such as ("teacher", "student").
        right_names: A text for each row, at its right.
        columns: A small text above each column.
        captions: For each row a list of small texts below its images.
        framed: For each row a list of bool: which images get a red frame, and a red caption.
        rule_after: Number of columns at the left that a vertical line separates; 0 for no line.
        blocks: Over how many columns of rows they are distributed.
        headings: A text above each block.
        title, lines: What stands on top, and the sentences that explain it.
        thumbnails: Whether images of more than 128 pixels are made smaller.

    Returns:
        uint8 `[H, W, 3]`; of one size for the same images with other marks, as frames of a GIF must be.

    Raises:
        InputError: no images, images of several sizes, or another number of names than of rows.

    Example:
        >>> image_rows([np.zeros((3, 32, 32, 3), "uint8")], ["Bag"]).dtype
        dtype('uint8')
    """
    rows = [_checked(row, thumbnails) for row in rows]
    group = len(marks) if marks else 1
    names = [""] * (len(rows) // group) if names is None else [shortened(name) for name in names]
    if not rows or len({row.shape[1] for row in rows}) != 1 or len(names) * group != len(rows):
        raise InputError(
            f"Got {len(rows)} rows of images {sorted({row.shape[1:] for row in rows})} and {len(names)} "
            f"names. Expected at least one row, images of one size, and a name for every {group} rows."
        )
    right_names = [shortened(name) for name in right_names or ()]
    layout = _layout(rows, names, marks or (), right_names, blocks, bool(captions), rule_after)
    blocks = -(-len(names) // layout.groups)  # without empty ones
    width = blocks * (layout.block_width + _BLOCK_GAP) - _BLOCK_GAP
    width = max(width, _LEAST_TITLE_WIDTH) if title else width

    pasted, texts, y = [], [], _PAD
    for line, size, colour in _broken(title, lines, width):
        texts.append(_Text(_PAD, y + _LINE_HEIGHT / 2, line, size, colour))
        y += round(_LINE_HEIGHT * (1.5 if size == _TITLE else 1))
    y += _GROUP_GAP if title else 0
    for block, text in enumerate(headings or ()):
        x = layout.corner(block * layout.groups * group)[0] - layout.left
        texts.append(_Text(x, y + _HEADING_HEIGHT / 2, text, _NAME, _BLACK))
    y += _HEADING_HEIGHT if headings else 0
    for block in range(blocks if columns else 0):
        x = layout.corner(block * layout.groups * group)[0]
        for column, text in enumerate(columns):
            centre = layout.column(x, column) + layout.tile / 2
            texts.append(_Text(centre, y + _CAPTION_HEIGHT / 2, text, _MARK, _GREY, "center"))
    y += _CAPTION_HEIGHT if columns else 0

    half = layout.tile / 2
    for number, images in enumerate(rows):
        x, row_y = layout.corner(number)
        row_y += y
        if number % group == 0:
            middle = row_y + (group - 1) * (layout.row_height + _SEAM) / 2 + half
            texts.append(_Text(x - layout.left, middle, names[number // group], _NAME, _BLACK))
        if marks:
            texts.append(_Text(x - _PAD, row_y + half, marks[number % group], _MARK, side="right"))
        if right_names:
            right = x + layout.images_width + _PAD
            texts.append(_Text(right, row_y + half, right_names[number], _NAME, _BLACK))
        if rule_after:
            rule = np.full((layout.row_height, 1, 3), _RULE, "uint8")
            pasted.append((layout.column(x, rule_after) - _GROUP_GAP // 2 - 1, row_y, rule))
        for column, image in enumerate(images):
            is_framed, left = bool(framed and framed[number][column]), layout.column(x, column)
            pasted.append((left, row_y, _enlarged(image, layout.tile, is_framed)))
            if captions:
                below, text = row_y + layout.tile + _CAPTION_HEIGHT / 2, captions[number][column]
                colour = _RED if is_framed else _GREY
                texts.append(_Text(left + half, below, text, _MARK, colour, "center"))
    height = y + min(layout.groups, len(names)) * layout.group_height - layout.group_gap + _PAD
    picture = _drawn(width + 2 * _PAD, height, pasted, texts)
    if path is not None:
        save_png(picture, path)
    return picture


class _Layout(NamedTuple):
    """Where things are, in pixels; blocks of groups of rows, a name for each group."""

    tile: int  # side of an image
    group: int  # rows of a group
    groups: int  # of a block
    left: int  # of a block, up to its images
    images_width: int
    block_width: int
    row_height: int
    group_height: int
    group_gap: int  # of that height, the white below
    rule_after: int

    def corner(self, row):
        """Left end of a row's images in the picture, upper end below the first row's."""
        block, number = divmod(row // self.group, self.groups)
        x = _PAD + block * (self.block_width + _BLOCK_GAP) + self.left
        return x, number * self.group_height + row % self.group * (self.row_height + _SEAM)

    def column(self, x, column):
        """Left end of a column, of a block whose images begin at x."""
        rule_width = _GROUP_GAP if self.rule_after and column >= self.rule_after else 0
        return x + column * (self.tile + _SEAM) + rule_width


def _layout(rows, names, marks, right_names, blocks, has_captions, rule_after) -> _Layout:
    size, group = rows[0].shape[1], len(marks) or 1
    tile = size * max(1, _TILE // size)
    left = max(_width(name, _NAME) for name in names) + (_PAD if any(names) else 0)
    if marks:
        least = 0 if any(names) else _LEAST_MARK_WIDTH  # frames of an animation have one size
        left += max([least, *(_width(mark, _MARK) for mark in marks)]) + _PAD
    images_width = max(map(len, rows)) * (tile + _SEAM) - _SEAM + (_GROUP_GAP if rule_after else 0)
    right = max([_width(name, _NAME) + _PAD for name in right_names], default=0)
    row_height = tile + (_CAPTION_HEIGHT if has_captions else 0)
    group_gap = _GROUP_GAP if group > 1 else _ROW_GAP
    return _Layout(
        tile=tile,
        group=group,
        groups=-(-len(names) // blocks),
        left=left,
        images_width=images_width,
        block_width=left + images_width + right,
        row_height=row_height,
        group_height=group * (row_height + _SEAM) - _SEAM + group_gap,
        group_gap=group_gap,
        rule_after=rule_after,
    )


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
    teacher, student = _checked(teacher_images), _checked(student_images)
    labels = np.asarray(labels)
    if teacher.shape != student.shape or labels.shape != teacher.shape[:1]:
        raise InputError(
            f"Got teacher images {teacher.shape}, student images {student.shape} and labels "
            f"{labels.shape}. Expected one pair of equal shape per label; generate both from the same z."
        )
    present = np.unique(labels)
    if present[0] < 0 or present[-1] >= len(class_names):
        raise InputError(
            f"Got labels from {present[0]} to {present[-1]} and {len(class_names)} class names. "
            "Expected a name for every label."
        )
    rows = [side[labels == label] for label in present for side in (teacher, student)]
    names = [class_names[label] for label in present]
    return image_rows(rows, names, marks=("teacher", "student"), blocks=blocks)


def save_png(picture, path):
    """Writes one uint8 picture `[H, W, 3]`, whole or not at all; returns the path."""
    with new_file(path) as aside:
        Image.fromarray(picture).save(aside, format="PNG")
    return path


def save_gif(frames, path, milliseconds=400):
    """Writes an endless animation of pictures uint8 `[H, W, 3]`, which rests on its last frame.

    Raises:
        InputError: there is no frame, or their sizes differ.
    """
    if len({frame.shape for frame in frames}) != 1:
        raise InputError(
            f"Got frames of shape {[frame.shape for frame in frames]}. Expected at least one frame, all "
            "of one shape."
        )
    first, *others = [Image.fromarray(frame).quantize() for frame in frames]
    durations = [milliseconds] * len(others) + [5 * milliseconds]
    animation = {"save_all": True, "append_images": others, "duration": durations, "loop": 0}
    with new_file(path) as aside:
        first.save(aside, format="GIF", **animation)
    return path


def resized(images, size) -> np.ndarray:
    """Images uint8 `[N, S, S, 3]` of another size, for people to look at and not for measuring."""
    if images.shape[1] == size:
        return images
    smaller = [Image.fromarray(i).resize((size, size), Image.Resampling.LANCZOS) for i in images]
    return np.stack([np.asarray(image) for image in smaller])


def shortened(name: str) -> str:
    """The first of several comma-separated names, cut where the margin ends."""
    name = name.split(",")[0]
    if _width(name, _NAME) <= _MOST_NAME_WIDTH:
        return name
    while _width(name + "...", _NAME) > _MOST_NAME_WIDTH:
        name = name[:-1]
    return name.rstrip() + "..."


def three_digits(value) -> str:
    """A number with three digits, zeros at the end included, so that many of them read alike."""
    return f"{value:#.3g}".rstrip(".")


def pixels(figure) -> np.ndarray:
    """What a matplotlib figure looks like, uint8 `[H, W, 3]`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _checked(images, thumbnails=False) -> np.ndarray:
    images = np.asarray(images)
    square = images.ndim == 4 and images.shape[1] == images.shape[2] and images.shape[3] == 3
    if not square or not images.size:
        raise InputError(
            f"Got images of shape {images.shape}. Expected (N, S, S, 3), at least one."
        )
    images = images if images.dtype == np.uint8 else to_uint8(images)
    return (
        resized(images, _LARGEST_TILE) if thumbnails and images.shape[1] > _LARGEST_TILE else images
    )


def _enlarged(image, tile, framed):
    image = image.repeat(tile // len(image), 0).repeat(tile // len(image), 1)
    if framed:
        inside = image[_FRAME_WIDTH:-_FRAME_WIDTH, _FRAME_WIDTH:-_FRAME_WIDTH].copy()
        image[:] = _FRAME
        image[_FRAME_WIDTH:-_FRAME_WIDTH, _FRAME_WIDTH:-_FRAME_WIDTH] = inside
    return image


def _broken(title, lines, width) -> list:
    """Title and lines with size and colour, broken where the picture ends."""
    found = []
    for text, size, colour in [(title, _TITLE, _BLACK), *((line, _LINE, _GREY) for line in lines)]:
        words = text.split()
        while words:
            count = len(words)
            while count > 1 and _width(" ".join(words[:count]), size) > width:
                count -= 1
            found.append((" ".join(words[:count]), size, colour))
            words = words[count:]
    return found


@functools.lru_cache(maxsize=4096)
def _width(text: str, size: float) -> int:
    """Of a line of text, in pixels."""
    from matplotlib.font_manager import FontProperties

    measured, _, _ = _renderer().get_text_width_height_descent(
        text, FontProperties(size=size), ismath=False
    )
    return round(measured)


@functools.cache
def _renderer():
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(1, 1, _DPI)


def _drawn(width, height, pasted, texts) -> np.ndarray:
    from matplotlib.figure import Figure

    size = (width + 0.01) / _DPI, (height + 0.01) / _DPI  # it is cut to whole pixels
    figure = Figure(figsize=size, dpi=_DPI, facecolor="white")
    for x, y, text, size, colour, side in texts:
        options = {"size": size, "color": colour, "ha": side, "va": "center_baseline"}
        figure.text(x / width, 1 - y / height, text, parse_math=False, **options)
    picture = pixels(figure)
    for x, y, image in pasted:
        picture[y : y + image.shape[0], x : x + image.shape[1]] = image
    return picture
