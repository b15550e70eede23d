"""Pictures for people: teacher and student side by side, and the student on its way.

Scope: uint8 canvases from images, and writing them to files. Everything is drawn with Pillow.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..data.images import to_uint8

_WHITE, _BLACK, _GREY = "#ffffff", "#1a1a1a", "#6a6a6a"
_TILE = 64  # smaller images are enlarged by a whole factor, 32 pixels twice
_SEAM, _PAD, _GAP = 2, 8, 14  # pixels between images, around text, between classes
_NAME_FONT, _MARK_FONT = ImageFont.load_default(14), ImageFont.load_default(11)
_MAX_WIDTH, _MIN_CAPTION_WIDTH = 120, 64  # of texts in the margin, in pixels


class _Panel(NamedTuple):
    """Rows of images, a mark beside each row, and one name for all."""

    name: str
    rows: Sequence[np.ndarray]
    marks: Sequence[str]


def class_grid(teacher_images, student_images, labels, class_names, blocks=2) -> np.ndarray:
    """Draws class by class the teacher's images and right below them the student's for the same z.

    Args:
        teacher_images: uint8 or float in [-1, 1], `[N, S, S, 3]`.
        student_images: The same for the student, drawn from the same latents and labels.
        labels: Int `[N]`; images of one class need not be neighbours.
        class_names: Name per label, shown in the left margin.
        blocks: Side-by-side columns over which the classes are distributed.

    Returns:
        uint8 `[H, W, 3]`.

    Raises:
        ValueError: the shapes differ, or a label has no name.
    """
    teacher, student = _checked(teacher_images), _checked(student_images)
    labels = np.asarray(labels)
    if not teacher.shape == student.shape or labels.shape != teacher.shape[:1]:
        raise ValueError(
            f"Got teacher images {teacher.shape}, student images {student.shape} and labels "
            f"{labels.shape}. Expected one pair of equal shape per label; draw both from the same z."
        )
    present = np.unique(labels)
    if present[0] < 0 or present[-1] >= len(class_names):
        raise ValueError(
            f"Got labels from {present[0]} to {present[-1]} and {len(class_names)} class names. "
            "Expected a name for every label."
        )
    panels = [
        _Panel(
            name=_shortened(class_names[label], _NAME_FONT),
            rows=(teacher[labels == label], student[labels == label]),
            marks=("teacher", "student"),
        )
        for label in present
    ]
    name_width = max(round(_NAME_FONT.getlength(panel.name)) for panel in panels)
    mark_width = max(round(_MARK_FONT.getlength(mark)) for mark in panels[0].marks)
    columns = max(len(panel.rows[0]) for panel in panels)
    drawn = [_draw(panel, name_width + _PAD, mark_width, columns) for panel in panels]
    per_block = -(-len(drawn) // blocks)
    stacks = [_joined(drawn[i : i + per_block], 0) for i in range(0, len(drawn), per_block)]
    height = max(len(stack) for stack in stacks)
    stacks = [_padded(stack, bottom=height - len(stack)) for stack in stacks]
    return _padded(_joined(stacks, 1), _PAD, _PAD, _PAD, _PAD)


def progress_strip(rows, captions) -> np.ndarray:
    """Draws rows of images below each other, each with its caption: the student at several steps.

    With two rows, student and teacher, it is a frame of an animation.

    Args:
        rows: List of images uint8 or float in [-1, 1], `[N, S, S, 3]`, the same z in every row.
        captions: One short string per row, for example "step 400".

    Returns:
        uint8 `[H, W, 3]`; of one size for rows of one shape while captions are short, as frames must be.

    Raises:
        ValueError: the rows differ in shape, or their number from that of the captions.
    """
    rows = [_checked(row) for row in rows]
    if len(rows) != len(captions) or len({row.shape for row in rows}) != 1:
        raise ValueError(
            f"Got rows of shape {[row.shape for row in rows]} and {len(captions)} captions. Expected "
            "at least one row, rows of one shape and a caption for each."
        )
    captions = [_shortened(caption, _MARK_FONT) for caption in captions]
    width = max(_MIN_CAPTION_WIDTH, *(round(_MARK_FONT.getlength(c)) for c in captions))
    strip = _draw(_Panel("", rows, captions), 0, width, len(rows[0]))
    return _padded(strip, _PAD, _PAD, _PAD, _PAD)


def save_png(image, path) -> Path:
    """Writes one uint8 image `[H, W, 3]`; the file appears complete or not at all."""
    return _save(path, Image.fromarray(image), format="PNG", optimize=True)


def save_gif(frames, path, milliseconds=400) -> Path:
    """Writes an endless animation that rests on its last frame.

    Args:
        frames: uint8 images `[H, W, 3]` of one shape, at least one.
        milliseconds: Time per frame; the last one stays five times as long.

    Raises:
        ValueError: there is no frame, or the shapes differ.
    """
    if len({frame.shape for frame in frames}) != 1:
        raise ValueError(
            f"Got frames of shape {[frame.shape for frame in frames]}. Expected at least one frame, "
            "all of one shape."
        )
    first, *others = [Image.fromarray(frame).quantize() for frame in frames]
    durations = [milliseconds] * len(others) + [5 * milliseconds]
    return _save(
        path, first, format="GIF", save_all=True, append_images=others, duration=durations, loop=0
    )


def _draw(panel, name_width, mark_width, columns) -> np.ndarray:
    size = panel.rows[0].shape[1]
    tile = size * max(1, _TILE // size)
    left = name_width + mark_width + _PAD
    width = left + columns * (tile + _SEAM) - _SEAM
    canvas = Image.new("RGB", (width, len(panel.rows) * (tile + _SEAM) - _SEAM), _WHITE)
    pen = ImageDraw.Draw(canvas)
    pen.text((0, canvas.height // 2), panel.name, _BLACK, _NAME_FONT, anchor="lm")
    for row, (images, mark) in enumerate(zip(panel.rows, panel.marks, strict=True)):
        top = row * (tile + _SEAM)
        pen.text((left - _PAD, top + tile // 2), mark, _GREY, _MARK_FONT, anchor="rm")
        for column, image in enumerate(images):
            enlarged = Image.fromarray(image).resize((tile, tile), Image.Resampling.NEAREST)
            canvas.paste(enlarged, (left + column * (tile + _SEAM), top))
    return np.asarray(canvas)


def _joined(pictures, axis) -> np.ndarray:
    """Pictures in a row along `axis` with a white gap between them."""
    gap = {"bottom": _GAP} if axis == 0 else {"right": 2 * _GAP}
    *others, last = pictures
    return np.concatenate([*(_padded(picture, **gap) for picture in others), last], axis)


def _padded(picture, top=0, bottom=0, left=0, right=0) -> np.ndarray:
    return np.pad(picture, ((top, bottom), (left, right), (0, 0)), constant_values=255)


def _shortened(text: str, font) -> str:
    """The first of several comma-separated names, cut where the margin ends."""
    text = text.split(",")[0]
    if font.getlength(text) <= _MAX_WIDTH:
        return text
    while font.getlength(text + "...") > _MAX_WIDTH:
        text = text[:-1]
    return text.rstrip() + "..."


def _checked(images) -> np.ndarray:
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] != 3:
        raise ValueError(f"Got images of shape {images.shape}. Expected (N, S, S, 3).")
    if not len(images):
        raise ValueError("Got no images to draw. Expected at least one.")
    return images if images.dtype == np.uint8 else to_uint8(images)


def _save(path, picture, **options) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    picture.save(temporary, **options)
    return temporary.replace(path)
