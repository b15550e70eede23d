"""Teacher and student side by side, and the student on its way.

Scope: uint8 canvases from images.
"""

import numpy as np

from ..errors import InputError
from .canvas import (
    MARK_FONT,
    MIN_CAPTION_WIDTH,
    NAME_FONT,
    PAD,
    Panel,
    checked_images,
    draw,
    joined,
    padded,
    shortened,
)


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
    teacher, student = checked_images(teacher_images), checked_images(student_images)
    labels = np.asarray(labels)
    if not teacher.shape == student.shape or labels.shape != teacher.shape[:1]:
        raise InputError(
            f"Got teacher images {teacher.shape}, student images {student.shape} and labels "
            f"{labels.shape}. Expected one pair of equal shape per label; draw both from the same z."
        )
    present = np.unique(labels)
    if present[0] < 0 or present[-1] >= len(class_names):
        raise InputError(
            f"Got labels from {present[0]} to {present[-1]} and {len(class_names)} class names. "
            "Expected a name for every label."
        )
    panels = [
        Panel(
            name=shortened(class_names[label], NAME_FONT),
            rows=(teacher[labels == label], student[labels == label]),
            marks=("teacher", "student"),
        )
        for label in present
    ]
    name_width = max(round(NAME_FONT.getlength(panel.name)) for panel in panels)
    mark_width = max(round(MARK_FONT.getlength(mark)) for mark in panels[0].marks)
    columns = max(len(panel.rows[0]) for panel in panels)
    drawn = [draw(panel, name_width + PAD, mark_width, columns) for panel in panels]
    per_block = -(-len(drawn) // blocks)
    stacks = [joined(drawn[i : i + per_block], 0) for i in range(0, len(drawn), per_block)]
    height = max(len(stack) for stack in stacks)
    stacks = [padded(stack, bottom=height - len(stack)) for stack in stacks]
    return padded(joined(stacks, 1), PAD, PAD, PAD, PAD)


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
    rows = [checked_images(row) for row in rows]
    if len(rows) != len(captions) or len({row.shape for row in rows}) != 1:
        raise InputError(
            f"Got rows of shape {[row.shape for row in rows]} and {len(captions)} captions. Expected "
            "at least one row, rows of one shape and a caption for each."
        )
    captions = [shortened(caption, MARK_FONT) for caption in captions]
    width = max(MIN_CAPTION_WIDTH, *(round(MARK_FONT.getlength(c)) for c in captions))
    strip = draw(Panel("", rows, captions), 0, width, len(rows[0]))
    return padded(strip, PAD, PAD, PAD, PAD)
