"""The committed models are what their cards say: they load, fit together, and are good enough."""

import json
import runpy

import numpy as np
import pytest
from PIL import Image

from tinygan_keras.data.keras_sets import load_fashion_mnist_subset
from tinygan_keras.evaluation.evaluate import evaluate
from tinygan_keras.evaluation.extractors.extractor import FeatureExtractor
from tinygan_keras.evaluation.metrics.logits import label_accuracy
from tinygan_keras.generators.opening import load_student
from tinygan_keras.latents import sample_latents
from tinygan_keras.teachers.hub import HubTeacher

COUNT = 300
GOLDEN_STUDENT = {
    "frechet_distance": 1.659257,
    "frechet_distance_error": 0.1455970,
    "frechet_bias": 0.2852394,
    "frechet_floor": 0.07331807,
    "kernel_distance": 0.006946282,
    "kernel_distance_error": 0.006648467,
    "precision": 0.958,
    "recall": 0.3238,
    "density": 1.1196,
    "coverage": 0.1496,
    "inception_score": 7.245232,
    "inception_score_deviation": 0.387183,
    "intra_class_frechet": 4.208917,
    "intra_class_frechet_deviation": 1.482563,
    "intra_class_frechet_error": 0.1302080,
    "label_accuracy": 0.896,
    "frechet_to_teacher": 0.185082,
    "frechet_to_teacher_error": 0.01669063,
    "teacher_l1": 0.04283333,
    "teacher_psnr": 26.83525,
    "teacher_ssim": 0.9216238,
    "teacher_feature_distance": 1.035213,
    "teacher_share": 1.193299,
    "teacher_share_error": 0.1436183,
    "student_share": 0.1807188,
    "student_share_error": 0.05463713,
    "high_frequencies": -0.2355020,
}
GOLDEN_TEACHER = {
    "frechet_distance": 1.478538,
    "intra_class_frechet": 4.001913,
    "kernel_distance": 0.005090742,
    "inception_score": 7.276119,
    "precision": 0.952,
    "recall": 0.4253,
    "label_accuracy": 0.89,
}


@pytest.fixture(scope="module")
def folder(repository):
    return repository / "saved_models"


@pytest.fixture(scope="module")
def extractor(folder):
    return FeatureExtractor(folder / "fashion_classifier")


@pytest.fixture(scope="module")
def drawn(folder):
    """The teacher, latents, labels, and its images."""
    teacher = HubTeacher(folder / "biggan_fashion_32", truncation=1.0)
    latents, labels = sample_latents(COUNT, teacher.latent_dim, seed=3), np.arange(COUNT) % 10
    return teacher, latents, labels, np.array(teacher(latents, labels))


def test_everything_fits_into_16_megabytes(folder):
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 16e6


def test_the_extractor_recognises_real_images(repository, extractor):
    real = load_fashion_mnist_subset(
        repository / "experiments/fashion_mnist/data/fashion_mnist_10k.npz"
    )
    _, logits = extractor(real.images[:COUNT])
    assert label_accuracy(logits, real.labels[:COUNT]) > 0.9


def test_the_teacher_draws_what_it_is_asked_for(extractor, drawn):
    teacher, _, labels, images = drawn
    assert teacher.is_pure and teacher.parameters == 1_252_004
    _, logits = extractor(images)
    assert label_accuracy(logits, labels) > 0.82


@pytest.mark.parametrize(
    ("name", "limit"), [("tinygan_fashion_32", 0.08), ("tinygan_v2_fashion_32", 0.05)]
)
def test_the_student_is_a_sixteenth_and_draws_the_teacher_s_image(
    folder, extractor, drawn, name, limit
):
    teacher, latents, labels, expected = drawn
    student = load_student(folder / name)
    images = np.array(student((latents, labels)))
    size = sum(int(np.prod(v.shape)) for v in student.trainable_variables)
    assert 16 * size <= teacher.parameters
    difference = np.abs(images - expected)
    assert difference.mean() < limit
    shuffled = np.abs(images - np.roll(expected, 10, axis=0))  # the same classes, other latents
    assert shuffled.mean() > 2 * difference.mean()
    _, logits = extractor(images)
    assert label_accuracy(logits, labels) > 0.82


@pytest.mark.parametrize(
    ("report", "limit"),
    [
        ("saved_models/tinygan_fashion_32/report.json", 1.5),
        ("saved_models/tinygan_v2_fashion_32/report.json", 1.1),
        ("experiments/fashion_mnist/demo/report.json", 1.25),
    ],
)
def test_committed_reports_belong_to_these_models_and_keep_their_promise(
    repository, extractor, report, limit
):
    report = json.loads((repository / report).read_text())
    assert report["protocol"]["extractor_hash"] == extractor.hash
    ratio = report["student"]["frechet_distance"] / report["teacher"]["frechet_distance"]
    assert ratio <= limit
    assert 16 * report["student"]["parameters"] <= report["teacher"]["parameters"]


def test_golden_figures_of_the_committed_student(repository, monkeypatch, tmp_path):
    """A change of any metric, of the latents, labels or rounding, shows here.

    Measured on two CPU cores; convolutions differ in their last digits from machine to machine.
    """
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    models = repository / "saved_models"
    with pytest.warns(UserWarning, match="images in the smallest class"):
        result = evaluate(
            models / "tinygan_fashion_32",
            models / "fashion_classifier",
            reference=repository / "experiments/fashion_mnist/data/fashion_mnist_10k.npz",
            teacher=models / "biggan_fashion_32",
            num_images=500,
            progress=False,
        )
    assert result["figures"].keys() == GOLDEN_STUDENT.keys()
    for found, golden in (
        (result["figures"], GOLDEN_STUDENT),
        (result["teacher"]["figures"], GOLDEN_TEACHER),
    ):
        for name, value in golden.items():
            counted = name in ("precision", "recall", "density", "coverage", "label_accuracy")
            # One image of 500 that falls on the other side is 0.002.
            near = {"abs": 0.005} if counted else {"rel": 1e-3, "abs": 1e-5}
            assert found[name] == pytest.approx(value, **near), name


def test_the_example_draws_the_picture_of_the_patient_run(repository, folder, tmp_path):
    example = runpy.run_path(str(repository / "experiments" / "example.py"))
    example["main"](str(tmp_path / "example.png"))
    picture, committed = (
        np.asarray(Image.open(path).convert("RGB"), "int32")
        for path in (tmp_path / "example.png", folder / "tinygan_v2_fashion_32" / "samples.png")
    )
    assert np.abs(picture - committed).max() <= 2
