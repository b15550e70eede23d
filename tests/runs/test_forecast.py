"""What a plan says beyond its measurements: times, quality, warnings, proposals; worked numbers."""

import json
import math
from pathlib import Path

import pytest

from tinygan_keras.errors import InputError
from tinygan_keras.runs.forecast import (
    CURVES,
    MARGIN,
    expected_quality,
    plan_text,
    propose,
    seconds_of_time,
    sensible_passes,
    size_text,
    time_text,
    warnings_of,
)

ROOT = Path(__file__).resolve().parents[2]
GOOD = {
    "classes": 10,
    "parameters": 76_719,
    "pairs": 16_000,
    "passes": 12.0,
    "teacher_share": 0.0,
    "seconds": 400.0,
    "evaluation_seconds": 40.0,
    "memory": 2**30,
    "memory_there": 8 * 2**30,
    "piece": 32,
    "disk": None,
}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("8h", 28_800), ("90m", 5_400), ("1h30m", 5_400), ("45s", 45), ("0.5h", 1_800), (" 2m ", 120)],
)
def test_times(text, seconds):
    assert seconds_of_time(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "8", "8 h", "h", "30m1h", "0h", "-1h", "8x", "1e3s", "8761h", "9" * 400 + "h", None],
)
def test_what_is_no_time_says_what_one_looks_like(text):
    with pytest.raises(InputError, match=r"Got the time .* Expected hours.*8h, 90m or 1h30m"):
        seconds_of_time(text)


def test_numbers_have_the_unit_that_suits_them():
    times = [time_text(seconds) for seconds in (42.4, 89, 91, 5_399, 5_401, 259_200)]
    assert times == ["42 s", "89 s", "1.5 min", "90.0 min", "1.5 h", "3.0 days"]
    assert [size_text(size) for size in (10, 12 * 2**20, 3.5 * 2**30)] == [
        "1 MiB",
        "12 MiB",
        "3.5 GiB",
    ]


@pytest.mark.parametrize(
    ("report", "curve", "place"),
    [
        ("experiments/fashion_mnist/demo", 0, 0),
        ("saved_models/tinygan_v2_fashion_32", 0, 1),
        ("saved_models/tinygan_fashion_32", 1, 1),
    ],
)
def test_curves_are_those_of_the_committed_reports(report, curve, place):
    report = json.loads((ROOT / report / "report.json").read_text())
    point, student = CURVES[curve].points[place], report["student"]
    config = report["config"]
    assert point.samples == config["steps"] * config["batch_size"]
    ratio = student["frechet_distance"] / report["teacher"]["frechet_distance"]
    assert point.ratio == pytest.approx(ratio, abs=6e-4)
    assert point.l1 == pytest.approx(student["teacher_l1"], abs=6e-5)
    assert CURVES[curve].student == report["name"]
    assert round(student["parameters"] / 10, -2) in (7_600, 7_700)  # as a warning says


def test_a_run_like_ours_is_expected_to_end_like_ours():
    found = expected_quality(32, 10, 96_000, True, "saved_models/biggan_fashion_32")
    assert (found["ratio"], found["l1"], found["extrapolated"]) == (0.987, 0.068, [])
    assert found["curve"] == "tinygan_v2_fashion_32"


def test_between_two_runs_the_expectation_is_straight_in_logarithms():
    samples = math.sqrt(96_000 * 768_000)  # half-way in logarithms
    found = expected_quality(32, 10, samples, True, "biggan_fashion_32")
    assert found["ratio"] == pytest.approx(math.sqrt(0.987 * 0.923), abs=6e-4)
    assert found["l1"] == pytest.approx(math.sqrt(0.0684 * 0.0481), abs=6e-4)
    assert not found["extrapolated"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image_size": 64}, "64 px, not 32"),
        ({"classes": 20, "samples": 384_000}, "20 classes, not 10"),
        ({"samples": 12_800}, "1,280 samples a class, fewer than 9,600"),
        ({"samples": 10_000_000}, "more than 76,800"),
        ({"teacher": "runs/mine"}, "another teacher than biggan_fashion_32"),
    ],
)
def test_another_run_than_ours_is_marked_as_extrapolation(changes, words):
    like_ours = {"image_size": 32, "classes": 10, "samples": 192_000, "latents_in_blocks": True}
    found = expected_quality(**{**like_ours, "teacher": "biggan_fashion_32", **changes})
    assert any(words in difference for difference in found["extrapolated"])


@pytest.mark.parametrize(
    ("samples", "bound", "words"),
    [(1_000, "worse", "Expect worse than this: Fr"), (10**8, "better", "perhaps better: Fr")],
)
def test_beyond_the_ends_of_a_curve_it_is_a_bound(result, samples, bound, words):
    result["quality"] = expected_quality(32, 10, samples, True, "biggan_fashion_32")
    assert result["quality"]["bound"] == bound
    assert words in plan_text(result)


def test_all_of_imagenet_is_compared_with_the_paper():
    found = expected_quality(128, 1000, 741_600 * 32, False, "biggan-deep")
    assert found["curve"] == "the paper's, published" and found["l1"] is None
    assert found["extrapolated"] == [
        "1,000 classes, not 398",
        "23,731 samples a class, fewer than 59,626",
    ]


def test_nothing_speaks_against_the_demo():
    assert warnings_of(GOOD) == []
    assert warnings_of(GOOD | {"pairs": None, "passes": None, "memory_there": None}) == []


@pytest.mark.parametrize(
    ("changes", "reason", "fix"),
    [
        ({"classes": 1000, "parameters": 3_070_659, "pairs": 800_000}, "3,071 para", "--config.cl"),
        ({"pairs": 640}, "64 a class. The fewest that worked here are 800", "Make more"),
        ({"passes": 300.0}, "seen 300 times. Our runs see one 5 to 13 times", "fewer steps"),
        ({"teacher_share": 0.8}, "takes 80% of a step", "tinygan cache"),
        ({"evaluation_seconds": 300.0}, "Evaluations take 75% of the time", "evaluate_every"),
        ({"memory": 2**33}, "needs about 8.0 GiB of memory; this machine has 8.0 GiB", "fewer"),
        ({"piece": 4}, "sees 4 images at once", "batch_size"),
        ({"disk": "Got 1 MiB of free space"}, "Got 1 MiB", ""),
    ],
)
def test_a_warning_has_its_reason_and_what_to_do(changes, reason, fix):
    (warning,) = warnings_of(GOOD | changes)
    assert reason in warning and fix in warning


def test_a_student_of_the_papers_size_may_learn_the_animals():
    animals = {"classes": 398, "parameters": 3_070_659, "pairs": 791_040}
    assert warnings_of(GOOD | animals) == []


def test_a_proposal_fills_the_time_and_keeps_epochs_and_passes():
    config = {"batch_size": 32, "steps_per_execution": 1}
    found = propose(1_000, fixed=100, per_step=0.1, epochs=10, config=config, passes=12)
    assert found == {"steps": 8_000, "steps_per_epoch": 800, "teacher_samples": 21_000}
    assert 100 + 0.1 * found["steps"] == pytest.approx(MARGIN * 1_000)


def test_a_proposal_holds_whole_calls_of_the_graph():
    config = {"batch_size": 32, "steps_per_execution": 50}
    found = propose(1_000, fixed=123, per_step=0.1, epochs=10, config=config)
    assert found == {"steps": 7_500, "steps_per_epoch": 750}


def test_a_proposal_takes_no_more_samples_than_the_memory_holds():
    config = {"batch_size": 32, "steps_per_execution": 1}
    found = propose(1_000, 100, 0.1, epochs=10, config=config, passes=12, most=5_555)
    assert (found["steps"], found["teacher_samples"]) == (8_000, 5_500)


@pytest.mark.parametrize(("passes", "kept"), [(12.8, 12.8), (4.8, 4.8), (0.8, 12), (300, 12)])
def test_passes_unlike_any_run_are_not_kept(passes, kept):
    assert sensible_passes(passes) == kept


def test_a_proposal_has_round_numbers():
    config = {"batch_size": 32, "steps_per_execution": 1}
    found = propose(10_000, fixed=0, per_step=0.1, epochs=7, config=config, passes=11)
    assert found == {"steps": 7 * 12_800, "steps_per_epoch": 12_800, "teacher_samples": 260_000}


@pytest.mark.parametrize("fixed", [1_000, 899.5])
def test_without_time_for_a_step_in_each_epoch_nothing_is_proposed(fixed):
    config = {"batch_size": 32, "steps_per_execution": 1}
    assert propose(1_000, fixed, per_step=0.1, epochs=10, config=config) is None


@pytest.fixture
def result():
    config = {"teacher_samples": 16_000, "steps": 6_000, "batch_size": 32, "extractor": "x"}
    config |= {"teacher": "t", "evaluation_images": 500, "truncation": 0.5, "classes": "animals"}
    phases = ("preparation", "teacher_samples", "training", "evaluation", "export")
    return {
        "config": config,
        "seconds": 500.0,
        "seconds_by_phase": dict.fromkeys(phases, 100.0),
        "teacher_images_a_second": 560.0,
        "step_seconds": 0.0612,
        "steps_timed": 120,
        "compile_seconds": 4.0,
        "epochs": 12,
        "epoch_seconds": 0.3,
        "evaluations": 0,
        "training_evaluation_seconds": 0.0,
        "evaluated_a_second": 240.0,
        "memory": 2**30,
        "memory_there": 2**33,
        "gpu_memory": None,
        "disk": 18 * 2**20,
        "cache": {"write": 0.01, "read": 0.001, "bytes": 2_000},
        "pairs": 16_000,
        "samples": 192_000,
        "passes": 12.0,
        "quality": expected_quality(64, 10, 192_000, True),
        "warnings": ["This is one."],
        "proposal": None,
    }


def test_the_table_names_units_quality_warnings_and_the_next_command(result):
    text = plan_text(result, ["--config=my config.py", "--config.seed=1"])
    for words in (
        "6,000 steps of 32 images, 61 ms each (120 timed)",
        "12 epochs",
        "16,000 images, 560 a second",
        "31 MiB  16,000 pairs",
        "192,000  seen in training, each pair 12.0 times",
        "Extrapolated, a guess at best: 64 px, not 32",
        "Warning: This is one.",
    ):
        assert words in text
    last = "Next: tinygan distill '--config=my config.py' --config.seed=1 --workdir=runs/mine"
    assert text.splitlines()[-1] == last
    assert max(map(len, text.splitlines())) < 120
    assert len(text.splitlines()) < 25


def test_a_proposal_takes_the_place_of_the_settings_it_changes(result):
    settings = {"steps": 8_000, "steps_per_epoch": 800}
    cache = {"count": 9_000, "seconds": 60.0, "bytes": 2**21, "settings": settings}
    result["proposal"] = {
        "time": 3600,
        "fixed": 1.0,
        "settings": settings,
        "seconds": 3_240.0,
        "cache": cache,
    }
    text = plan_text(result, ["--config=a.py", "--config.steps=5", "--config.seed=1"])
    changed = "--config.seed=1 --config.steps=8000 --config.steps_per_epoch=800"
    assert f"Next: tinygan distill --config=a.py {changed} --workdir=runs/mine" in text
    assert "tinygan cache --teacher=t --truncation=0.5 --classes=animals --count=9000" in text
    assert f"--config=a.py {changed} --config.teacher_cache=cache --workdir=runs/mine" in text


def test_too_little_time_says_what_takes_it(result):
    result["proposal"] = {"time": 60, "fixed": 100.0, "settings": None, "cache": None}
    assert "60 s isn't enough: everything but the steps takes 1.7 min" in plan_text(result)
