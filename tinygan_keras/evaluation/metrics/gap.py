"""Where a student's distance to the real images comes from: the numbers of images, its teacher, or itself.

A distillation can be no better than its teacher, and no generator measures below the bias of its numbers of
images. What the student adds is known better than either distance: its images and the teacher's have equal
latents, and differences of pairs vary less than both. Spectra show blur, the usual fault of a small student.
"""

import functools

import numpy as np

from .frechet import bias_of, frechet_difference, frechet_difference_to_teacher
from .registry import Figure, Measured, MeasuredImages, metric

_BLURRED = (
    -1.0
)  # decibels of high frequencies against the teacher's; below, a student is called blurred


@metric(
    "gap",
    {
        "teacher_share": Figure(
            "the teacher's share in the distance (standard error)",
            None,
            "#.4g",
            "teacher_share_error",
        ),
        "student_share": Figure(
            "the student's share in the distance (standard error)",
            None,
            "#.4g",
            "student_share_error",
        ),
        "high_frequencies": Figure("high frequencies against the teacher's, dB", None, "+.2f"),
    },
    needs=("real_images", "teacher"),
    columns=("features", "teacher_features", "spectrum", "teacher_spectrum"),
)
def measure_gap(images: MeasuredImages) -> Measured:
    """The distance to the real images in parts, and the spectra of real, teacher's and student's images."""
    real = images.real
    shares = _shares(frechet_difference_to_teacher(images), bias_of(images))
    spectra = {"student": _mean(images.columns["spectrum"])}
    spectra["teacher"] = _mean(images.columns["teacher_spectrum"])
    if real.spectrum is not None and len(real.spectrum) == len(spectra["teacher"]):
        spectra["real"] = np.asarray(real.spectrum)
    figures = {name: value for name, value in shares.items() if name not in ("distance", "floor")}
    figures["high_frequencies"] = high_frequencies(spectra["student"], spectra["teacher"])
    spectra = {name: spectrum.tolist() for name, spectrum in spectra.items()}
    gap = {**shares, "spectra": spectra}
    return Measured(figures, details={"gap": gap | {"sentence": gap_sentence(gap)}})


def gap_shares(student, teacher, real, student_rows, teacher_rows, count=None, floor=None) -> dict:
    """A student's Frechet distance to the real images as a sum.

    Args:
        student, teacher, real: Mean float `[F]` and covariance `[F, F]` of each.
        student_rows, teacher_rows: Features float `[n, F]` of the same latents: all, or a random choice.
        count: How many images of each there are in all; n by default.
        floor: What real images would get at these numbers; None if that isn't known.

    Returns:
        `distance`, `floor`, `teacher_share` (the teacher's distance less the floor) and `student_share` (what
        the student's distance has more than the teacher's), of both shares `_error`, the standard error.
    """
    sides = student, teacher, real, student_rows, teacher_rows
    return _shares(frechet_difference(*sides, count), floor)


def _shares(difference, floor) -> dict:
    first, second, (_, teacher_error, student_error) = difference
    shares = {"distance": first, "floor": floor}
    shares |= {"teacher_share": second - (floor or 0.0), "student_share": first - second}
    if teacher_error is not None:
        shares |= {"teacher_share_error": teacher_error, "student_share_error": student_error}
    return shares


def radial_spectrum(images) -> np.ndarray:
    """Power by spatial frequency, float32 `[B, S // 2]`, of images uint8 `[B, S, S, 3]`.

    Column k is the mean of `|F|^2 / S^2` over frequencies of k + 1/2 to k + 3/2 waves per image, F the
    discrete Fourier transform of the mean of the three channels in [-1, 1], less its mean, under Hann's
    window: without one, unequal borders would look like edges.
    """
    size = images.shape[1]
    window = np.hanning(size + 2)[1:-1]
    gray = images.mean(axis=-1, dtype="float64") / 127.5
    gray = (gray - gray.mean(axis=(1, 2), keepdims=True)) * window[:, None] * window
    power = np.abs(np.fft.rfft2(gray)) ** 2 / size**2
    members = _rings(size)
    return (power.reshape(len(images), len(members)) @ members).astype("float32")


@functools.cache
def _rings(size) -> np.ndarray:
    """Weights of the coefficients of a real transform in the mean of each ring, float64 `[C, size // 2]`."""
    waves = np.hypot(np.fft.fftfreq(size, 1 / size)[:, None], np.fft.rfftfreq(size, 1 / size))
    rings = np.floor(waves + 0.5).astype(int)
    members = (rings.reshape(-1) == np.arange(1, size // 2 + 1)[:, None]).astype("float64")
    # Of the columns that stand for themselves and for their mirror image, both count.
    twice = np.ones(waves.shape[1])
    twice[1 : (size + 1) // 2] = 2
    members *= np.broadcast_to(twice, waves.shape).reshape(-1)
    return (members / members.sum(axis=1, keepdims=True)).T


def high_frequencies(spectrum, other) -> float:
    """Power in the upper half of the frequencies, in decibels against another spectrum; below 0 is blur."""
    upper = slice(len(spectrum) // 2, None)
    ours, theirs = (np.sum(power[upper], dtype="float64") for power in (spectrum, other))
    return float(10 * np.log10(max(ours, 1e-30) / max(theirs, 1e-30)))


def class_correlation(classes: list, others: list) -> float | None:
    """Whether two generators find the same classes hard: the correlation of their distances within classes.

    Both are rows per class with `label` and, if it is known, `frechet_distance`. None of fewer than three
    classes.
    """
    theirs = {row["label"]: row.get("frechet_distance") for row in others}
    pairs = [(row.get("frechet_distance"), theirs.get(row["label"])) for row in classes]
    pairs = [pair for pair in pairs if None not in pair]
    return correlation([ours for ours, _ in pairs], [theirs for _, theirs in pairs])


def correlation(first, second) -> float | None:
    """Pearson's correlation of two lists of numbers; None of fewer than three, or of equal ones."""
    if len(first) < 3 or not np.std(first) or not np.std(second):
        return None
    return float(np.corrcoef(first, second)[0, 1])


def gap_sentence(gap: dict) -> str:
    """What the parts of a distance say together, and what would help; of `gap_shares` and `spectra`."""
    student, teacher = gap["student_share"], gap["teacher_share"]
    error = gap.get("student_share_error", 0.0)
    spectra = gap["spectra"]
    blur = high_frequencies(np.array(spectra["student"]), np.array(spectra["teacher"]))
    floor = "" if gap["floor"] is None else f"{gap['floor']:.3g} is what real images get, "
    known = f"Of the distance {gap['distance']:.4g}, {floor}{teacher:.3g} the teacher's share and "
    known += f"{student:.3g} (standard error {error:.2g}) the student's: "
    if student < -2 * error:
        advice = "the student is nearer to real images than its teacher; more weight for them would help most"
    elif student <= 2 * error:
        advice = "the student is as good as its teacher, and only a better teacher would help"
    elif student < teacher:
        advice = "a better teacher would help most"
    elif blur < _BLURRED:
        advice = f"the student lacks {-blur:.1f} dB of its teacher's high frequencies; try a wider student"
    else:
        advice = "the student isn't blurred but off its teacher; try more steps"
    return f"{known}{advice}."


def _mean(column) -> np.ndarray:
    return np.sum([chunk.sum(axis=0, dtype="float64") for chunk in column.chunks()], 0) / len(
        column
    )
