"""The figures of an evaluation by name: plain data, read without TensorFlow and NumPy."""

from typing import NamedTuple


class Figure(NamedTuple):
    """How a figure is shown: its title, which way is better (`lower`, `higher` or None), its format."""

    title: str
    better: str | None
    format: str
    spread: str | None = None  # the figure that is its error bar or standard deviation


FIGURES = {
    "frechet_distance": Figure("Frechet distance", "lower", "#.4g"),
    "frechet_floor": Figure("Frechet distance of two halves of the real images", None, "#.4g"),
    "intra_class_frechet": Figure(
        "Frechet distance within classes, mean (sd)",
        "lower",
        "#.4g",
        "intra_class_frechet_deviation",
    ),
    "kernel_distance": Figure(
        "kernel distance (standard error)", "lower", "#.4g", "kernel_distance_error"
    ),
    "inception_score": Figure(
        "Inception score (sd of splits)", "higher", "#.4g", "inception_score_deviation"
    ),
    "precision": Figure("precision", "higher", ".4f"),
    "recall": Figure("recall", "higher", ".4f"),
    "density": Figure("density", "higher", ".4f"),
    "coverage": Figure("coverage", "higher", ".4f"),
    "label_accuracy": Figure("label accuracy", "higher", ".2%"),
    "classification_accuracy": Figure("classification accuracy score", "higher", ".2%"),
    "frechet_to_teacher": Figure("Frechet distance to the teacher", "lower", "#.4g"),
    "teacher_l1": Figure("L1 to the teacher, range [-1, 1]", "lower", ".4f"),
    "teacher_psnr": Figure("PSNR to the teacher, dB", "higher", ".2f"),
    "teacher_ssim": Figure("SSIM to the teacher", "higher", ".4f"),
    "teacher_feature_distance": Figure("feature distance to the teacher", "lower", "#.4g"),
}

MONITORS = tuple(
    name
    for name, figure in FIGURES.items()
    if figure.better and "teacher" not in name and name != "classification_accuracy"
)
"""Those that an evaluation during training can have, and by which students can be ranked."""

MONITORS_WITHOUT_REAL = ("inception_score", "label_accuracy")
"""Those of them that need no real images."""
