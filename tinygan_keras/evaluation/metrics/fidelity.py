"""How closely a student follows its teacher, image by image, on the same latents and labels.

Distances between distributions can't see this: a student may draw as well as its teacher and yet draw
other images.
"""

import numpy as np

from ...errors import InputError
from .feature_rows import feature_rows
from .frechet import frechet_distance
from .registry import Figure, Measured, MeasuredImages, metric

_BLOCK = 64  # images compared at a time
_WINDOW = 11  # width of tf.image.ssim's Gaussian window


@metric(
    "frechet_to_teacher",
    {"frechet_to_teacher": Figure("Frechet distance to the teacher", "lower", "#.4g")},
    needs=("teacher",),
    columns=("features", "teacher_features"),
)
def measure_frechet_to_teacher(images: MeasuredImages) -> Measured:
    """The distance to the teacher's images of the same latents."""
    ours, theirs = images.columns["features"], images.columns["teacher_features"]
    return Measured({"frechet_to_teacher": frechet_distance(*ours.statistics, *theirs.statistics)})


_FIDELITY = {
    "teacher_l1": Figure("L1 to the teacher, range [-1, 1]", "lower", ".4f"),
    "teacher_psnr": Figure("PSNR to the teacher, dB", "higher", ".2f"),
    "teacher_ssim": Figure("SSIM to the teacher", "higher", ".4f"),
    "teacher_feature_distance": Figure("feature distance to the teacher", "lower", "#.4g"),
}


@metric("teacher_fidelity", _FIDELITY, needs=("teacher",), columns=tuple(_FIDELITY))
def measure_teacher_fidelity(images: MeasuredImages) -> Measured:
    """How far images are from the teacher's of the same latents, on average."""
    figures, notes = {}, ()
    for name in _FIDELITY:
        values = np.concatenate([chunk[:, 0] for chunk in images.columns[name].chunks()])
        finite = np.isfinite(values)
        if not finite.all():  # the PSNR of equal images
            notes += (
                f"{np.sum(~finite):,} of {len(values):,} images equal the teacher's: their PSNR is "
                "infinite and left out of the mean.",
            )
        if finite.any():
            figures[name] = float(values[finite].mean(dtype="float64"))
    return Measured(figures, notes)


def fidelity_rows(teacher_images, student_images, teacher_features, student_features) -> dict:
    """The columns of `measure_teacher_fidelity` for some images."""
    fidelity = image_fidelity(teacher_images, student_images)
    return {
        **{f"teacher_{name}": values for name, values in fidelity.items()},
        "teacher_feature_distance": feature_distances(teacher_features, student_features),
    }


def image_fidelity(teacher_images, student_images) -> dict[str, np.ndarray]:
    """L1, PSNR and SSIM of each student image to the teacher's of the same latent and label.

    Args:
        teacher_images, student_images: uint8 `[B, S, S, 3]`, S at least 11.

    Returns:
        Arrays `[B]`: `l1` float64, mean absolute difference in units of the range [-1, 1], so from 0 to
        2; `psnr` float32 in dB with peak 255, infinite for equal images; `ssim` float32, at most 1, by
        `tf.image.ssim` (Gaussian window of 11 pixels, deviation 1.5, mean over the channels).

    Raises:
        ValueError: another type, shapes that differ, or images that are smaller than SSIM's window.

    Example:
        fidelity = image_fidelity(teacher_images, student_images)
        print(fidelity["ssim"].mean())

    Reference: Wang et al., Image quality assessment: from error visibility to structural similarity, 2004.
    """
    teacher_images, student_images = np.asarray(teacher_images), np.asarray(student_images)
    shape = teacher_images.shape
    if shape != student_images.shape or len(shape) != 4 or shape[-1] != 3 or not shape[0]:
        raise InputError(
            f"Got teacher images of shape {shape} and student images of shape {student_images.shape}. "
            "Expected one shape (B, S, S, 3) with at least one image; draw both from the same latents, and "
            "resize the larger ones."
        )
    if not teacher_images.dtype == student_images.dtype == np.uint8:
        raise InputError(
            f"Got teacher images of type {teacher_images.dtype} and student images of type "
            f"{student_images.dtype}. Expected uint8 in [0, 255]; images.to_uint8 converts."
        )
    if min(shape[1:3]) < _WINDOW:
        raise InputError(
            f"Got images of {shape[1]} x {shape[2]} pixels. Expected at least {_WINDOW} x {_WINDOW}, the "
            "window of SSIM; compare larger images, or feature_distances alone."
        )
    blocks = [
        _compare(teacher_images[start : start + _BLOCK], student_images[start : start + _BLOCK])
        for start in range(0, shape[0], _BLOCK)
    ]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def feature_distances(teacher_features, student_features) -> np.ndarray:
    """Euclidean distance of each student image to the teacher's in feature space.

    Args:
        teacher_features, student_features: Float `[B, F]`, rows of the same latent and label.

    Returns:
        Float64 `[B]`.

    Raises:
        ValueError: the shapes differ, or a value is not finite.
    """
    teacher = feature_rows(teacher_features, name="teacher features")
    student = feature_rows(student_features, width=teacher.shape[1], name="student features")
    if len(teacher) != len(student):
        raise InputError(
            f"Got features of {len(teacher):,} teacher images and {len(student):,} student images. Expected "
            "as many of each, drawn from the same latents and labels."
        )
    return np.concatenate(
        [
            np.linalg.norm(
                teacher[start : start + _BLOCK].astype("float64") - student[start : start + _BLOCK],
                axis=1,
            )
            for start in range(0, len(teacher), _BLOCK)
        ]
    )


def _compare(teacher, student):
    import tensorflow as tf

    difference = np.abs(teacher.astype("int16") - student)
    return {
        "l1": difference.mean(axis=(1, 2, 3), dtype="float64") * (2 / 255),
        "psnr": tf.image.psnr(teacher, student, max_val=255).numpy(),
        "ssim": tf.image.ssim(teacher, student, max_val=255).numpy(),
    }
