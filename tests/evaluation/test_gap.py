"""Where a distance comes from: shares with errors, spectra, and what they say."""

import numpy as np
import pytest

from tinygan_keras.evaluation.metrics.frechet import feature_statistics, frechet_distance
from tinygan_keras.evaluation.metrics.gap import (
    class_correlation,
    gap_sentence,
    gap_shares,
    high_frequencies,
    radial_spectrum,
)


def waves(size, count, horizontal, amplitude=0.5):
    """One picture of so many waves, uint8 `[1, S, S, 3]`."""
    phase = 2 * np.pi * count * np.arange(size) / size
    row = np.rint(127.5 * (1 + amplitude * np.cos(phase)))
    image = np.broadcast_to(row if horizontal else row[:, None], (size, size))
    return np.repeat(image[None, ..., None], 3, axis=-1).astype("uint8")


@pytest.mark.parametrize("size", [16, 17, 32])
@pytest.mark.parametrize("horizontal", [True, False])
def test_a_wave_has_its_power_in_its_ring(size, horizontal):
    spectrum = radial_spectrum(waves(size, 4, horizontal))[0]
    assert spectrum.shape == (size // 2,) and spectrum.argmax() == 3


@pytest.mark.parametrize("size", [8, 9])
def test_the_spectrum_is_that_of_its_twin(size):
    """Pixel by pixel: the transform written out, and every frequency put into its ring."""
    images = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype="uint8")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1, size + 1) / (size + 1))
    expected = np.zeros((2, size // 2))
    places = np.arange(size)
    for number, image in enumerate(images):
        gray = image.astype(float).mean(axis=-1) / 127.5 - 1
        gray = (gray - gray.mean()) * np.outer(window, window)
        rings = [[] for _ in range(size // 2)]
        for v in range(-(size // 2), (size + 1) // 2):
            for u in range(-(size // 2), (size + 1) // 2):
                turn = np.exp(-2j * np.pi * (v * places[:, None] + u * places) / size)
                ring = int(np.hypot(u, v) + 0.5)
                if 1 <= ring <= size // 2:
                    rings[ring - 1].append(abs(np.sum(gray * turn)) ** 2 / size**2)
        expected[number] = [np.mean(ring) for ring in rings]
    assert radial_spectrum(images) == pytest.approx(expected, rel=1e-4)


def test_no_images_have_no_spectra():
    """A block of real images may have none that its mean spectrum takes."""
    assert radial_spectrum(np.zeros((0, 8, 8, 3), "uint8")).shape == (0, 4)


def test_half_the_amplitude_is_six_decibels_less():
    whole, half = (radial_spectrum(waves(32, 14, True, a))[0] for a in (0.8, 0.4))
    assert high_frequencies(half, whole) == pytest.approx(20 * np.log10(0.5), abs=0.1)


def features(seed, shift, count=400):
    return np.random.default_rng(seed).normal(size=(count, 5)) + shift


def shares_of(student, teacher, floor=None):
    real = feature_statistics(features(0, 0, 4000))
    pair = feature_statistics(student), feature_statistics(teacher)
    return gap_shares(*pair, real, student, teacher, floor=floor), pair, real


def test_shares_add_up_and_pairs_make_the_student_s_certain():
    teacher = features(1, 0.4)
    student = teacher + 0.1 + 0.05 * features(2, 0)
    shares, pair, real = shares_of(student, teacher, floor=0.02)
    assert shares["distance"] == pytest.approx(frechet_distance(*pair[0], *real), rel=1e-9)
    total = shares["floor"] + shares["teacher_share"] + shares["student_share"]
    assert total == pytest.approx(shares["distance"], rel=1e-12)
    assert shares["teacher_share"] == pytest.approx(frechet_distance(*pair[1], *real) - 0.02)
    assert shares["student_share_error"] < shares["teacher_share_error"]


def test_two_standard_errors_cover_the_student_s_share():
    random, found = np.random.default_rng(3), []
    real = feature_statistics(features(0, 0, 4000))
    for _ in range(200):
        teacher = random.normal(size=(150, 5)) + 0.3
        student = 1.1 * teacher + 0.2 * random.normal(size=(150, 5)) + 0.1
        pair = feature_statistics(student), feature_statistics(teacher)
        shares = gap_shares(*pair, real, student, teacher)
        found.append((shares["student_share"], shares["student_share_error"]))
    values, errors = np.transpose(found)
    assert 0.9 <= np.mean(np.abs(values - values.mean()) <= 2 * errors) <= 0.98


SHARP, BLURRED = [4.0, 2.0, 1.0, 0.5], [4.0, 2.0, 0.5, 0.2]


@pytest.mark.parametrize(
    ("student", "teacher", "spectrum", "advice"),
    [
        (-0.2, 1.0, SHARP, "nearer to real images than its teacher; more weight for them"),
        (-0.08, 1.0, SHARP, "only a better teacher would help"),
        (0.02, 1.0, SHARP, "only a better teacher would help"),
        (0.4, 1.0, SHARP, "a better teacher would help most"),
        (2.0, 1.0, BLURRED, "lacks 3.3 dB of its teacher's high frequencies; try a wider student"),
        (2.0, 1.0, SHARP, "try more steps"),
    ],
)
def test_the_sentence_says_what_would_help(student, teacher, spectrum, advice):
    gap = {"distance": 0.1 + student + teacher, "floor": 0.1, "teacher_share": teacher}
    gap |= {"student_share": student, "student_share_error": 0.05}
    gap["spectra"] = {"student": spectrum, "teacher": SHARP}
    sentence = gap_sentence(gap)
    assert advice in sentence and "0.1 is what real images get" in sentence


def test_classes_are_correlated_by_their_label():
    ours = [{"label": k, "frechet_distance": v} for k, v in enumerate((1.0, 2.0, 4.0))]
    ours.append({"label": 7, "images": 1})
    theirs = [{"label": k, "frechet_distance": v} for k, v in ((2, 8.0), (0, 2.0), (1, 4.0))]
    assert class_correlation(ours, theirs) == pytest.approx(1.0)
    assert class_correlation(ours, theirs[:2]) is None
