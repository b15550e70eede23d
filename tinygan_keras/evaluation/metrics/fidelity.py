"""How closely a student follows its teacher, image by image, on the same latents and labels.

Distances between distributions can't see this: a student may be as good as its teacher and yet generate
other images.
"""

import numpy as np

from ...errors import InputError
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

    Images are uint8 `[B, S, S, 3]`. Results are `[B]`: `l1`, mean absolute difference in units of the range
    [-1, 1], so from 0 to 2; `psnr` in dB with peak 255, infinite for equal images; `ssim`, at most 1, by
    `tf.image.ssim` (Gaussian window of 11 pixels, deviation 1.5, mean over the channels).

    Reference: Wang et al., Image quality assessment: from error visibility to structural similarity, 2004.
    """
    if teacher_images.shape[1] < _WINDOW:
        raise InputError(
            f"Got images of {teacher_images.shape[1]} pixels. Expected at least {_WINDOW}, the window of "
            "SSIM. Compare larger images, or choose metrics without teacher_fidelity."
        )
    blocks = [
        _compare(teacher_images[start : start + _BLOCK], student_images[start : start + _BLOCK])
        for start in range(0, len(teacher_images), _BLOCK)
    ]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def feature_distances(teacher_features, student_features) -> np.ndarray:
    """Euclidean distance float64 `[B]` of each student image to the teacher's, features float `[B, F]`."""
    teacher = np.asarray(teacher_features, "float64")
    return np.linalg.norm(teacher - student_features, axis=1)


def _compare(teacher, student):
    import tensorflow as tf

    difference = np.abs(teacher.astype("int16") - student)
    return {
        "l1": difference.mean(axis=(1, 2, 3), dtype="float64") * (2 / 255),
        "psnr": tf.image.psnr(teacher, student, max_val=255).numpy(),
        "ssim": tf.image.ssim(teacher, student, max_val=255).numpy(),
    }
