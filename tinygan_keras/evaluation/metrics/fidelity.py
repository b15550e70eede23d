"""How closely a student follows its teacher, image by image, on the same latents and labels.

Distances between distributions can't see this: a student may be as good as its teacher and yet generate
other images.
"""

import numpy as np

from ...errors import InputError
from .frechet import ERROR_ROWS, frechet_with_error
from .registry import Figure, Measured, MeasuredImages, metric

_BLOCK = 64  # images compared at a time
_WINDOW = 11  # width of tf.image.ssim's Gaussian window


@metric(
    "frechet_to_teacher",
    {
        "frechet_to_teacher": Figure(
            "Frechet distance to the teacher (standard error)",
            "lower",
            "#.4g",
            "frechet_to_teacher_error",
        )
    },
    needs=("teacher",),
    columns=("features", "teacher_features"),
)
def measure_frechet_to_teacher(images: MeasuredImages) -> Measured:
    """The distance to the teacher's images of the same latents.

    Both are drawn anew with other latents, so both move it; images of equal latents move together.
    """
    ours, theirs = images.columns["features"], images.columns["teacher_features"]
    rows = (column.take(images.order[:ERROR_ROWS]) for column in (ours, theirs))
    pair = ours.statistics, theirs.statistics
    distance, error = frechet_with_error(*pair, *rows, count=len(ours))
    figures = {"frechet_to_teacher": distance}
    if error is not None:
        figures["frechet_to_teacher_error"] = error
    return Measured(figures)


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


def check_size(image_size: int):
    """Refuses images that are smaller than the window of SSIM."""
    if image_size < _WINDOW:
        raise InputError(
            f"Got images of {image_size} pixels. Expected at least {_WINDOW}, the window of SSIM. Compare "
            "larger images, or choose metrics without teacher_fidelity."
        )


def fidelity_rows(teacher_images, images, teacher_features, features) -> dict:
    """The columns of `measure_teacher_fidelity`, float `[B]` each, of images uint8 `[B, S, S, 3]`.

    L1 is in units of the range [-1, 1], so from 0 to 2; the PSNR is infinite for equal images; SSIM has a
    Gaussian window of deviation 1.5 (Wang et al., Image quality assessment, 2004).
    """
    import tensorflow as tf

    rows = {"teacher_l1": [], "teacher_psnr": [], "teacher_ssim": []}
    for start in range(0, len(images), _BLOCK):
        theirs, ours = (block[start : start + _BLOCK] for block in (teacher_images, images))
        difference = np.abs(theirs.astype("int16") - ours)
        rows["teacher_l1"].append(difference.mean(axis=(1, 2, 3), dtype="float64") * (2 / 255))
        rows["teacher_psnr"].append(tf.image.psnr(theirs, ours, max_val=255))
        rows["teacher_ssim"].append(tf.image.ssim(theirs, ours, max_val=255))
    apart = np.linalg.norm(np.asarray(teacher_features, "float64") - features, axis=1)
    return {name: np.concatenate(blocks) for name, blocks in rows.items()} | {
        "teacher_feature_distance": apart
    }
