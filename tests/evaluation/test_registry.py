"""Metrics by name: which are chosen, what they need, and what is said of those that lack it."""

import subprocess
import sys

import pytest

from tinygan_keras.evaluation.metrics import FIGURES, METRICS, MONITORS, MONITORS_WITHOUT_REAL
from tinygan_keras.evaluation.metrics.registry import asked_for, choose, computable


def test_metrics_and_figures_are_chosen_by_name_in_the_order_of_tables():
    chosen = [metric.name for metric in choose(["recall", "kernel_distance", "frechet_distance"])]
    assert chosen == ["frechet_distance", "kernel_distance", "precision_recall"]
    assert [metric.name for metric in choose("precision_recall")] == ["precision_recall"]
    assert [metric.name for metric in choose()] == [
        name for name, metric in METRICS.items() if not metric.optional
    ]


def test_optional_metrics_are_chosen_by_name_only_and_beside_the_default_ones():
    assert METRICS["frechet_at_infinity"].optional
    assert "frechet_at_infinity" not in {metric.name for metric in choose()}
    both = [metric.name for metric in choose(["default", "frechet_at_infinity"])]
    assert set(both) == {metric.name for metric in choose()} | {"frechet_at_infinity"}
    assert asked_for(["default", "frechet_at_infinity"]) == {"frechet_at_infinity"}
    assert asked_for(None) == asked_for("default") == set()


@pytest.mark.parametrize("names", [["frechet_distanc"], "frechet_distanc", "FID"])
def test_an_unknown_metric_is_refused_with_the_nearest(names):
    with pytest.raises(ValueError, match="Did you mean 'frechet_distance'"):
        choose(names)


def test_metrics_that_lack_something_are_left_out_with_the_reason():
    kept, notes = computable(choose(), {"real_images", "labels", "logits"}, required=())
    assert [metric.name for metric in kept] == [
        "frechet_distance",
        "inception_score",
        "label_accuracy",
    ]
    (note,) = notes
    assert note.startswith("The real statistics hold mu and sigma only: left out are Frechet")
    assert "recall" in note and "teacher" not in note


def test_metrics_that_are_asked_for_must_not_lack_anything():
    with pytest.raises(ValueError, match="teacher_fidelity. No teacher is given, which it needs"):
        computable(choose(["teacher_ssim"]), {"real_images"}, asked_for("teacher_ssim"))


def test_figures_by_which_students_can_be_ranked_need_no_teacher():
    assert MONITORS_WITHOUT_REAL == ("inception_score", "label_accuracy")
    assert {"frechet_distance", "coverage", *MONITORS_WITHOUT_REAL} <= set(MONITORS)
    optional = {n for metric in METRICS.values() if metric.optional for n in metric.figures}
    assert {"vendi_score", "cmmd"} <= optional and not optional & set(MONITORS)
    others = set(FIGURES) - set(MONITORS) - optional
    unranked = {"frechet_floor", "frechet_bias", "classification_accuracy", "frechet_to_teacher"}
    unranked |= {"student_share", "high_frequencies"}  # and the teacher's share
    assert others == unranked | {name for name in FIGURES if name.startswith("teacher_")}


def test_the_registry_imports_nothing_heavy():
    program = (
        "import sys, tinygan_keras.evaluation.metrics\n"
        "print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
