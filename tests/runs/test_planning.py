"""A plan of the smallest runs: what it measures, what it leaves alone, and what it refuses."""

import functools
import json
import shutil
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from run_fixtures import small_config, tiny_config

from tinygan_keras.distillation.tinygan import TinyGAN
from tinygan_keras.errors import InputError, MissingFileError, UnusableFileError
from tinygan_keras.runs import measuring, planning
from tinygan_keras.runs.config import epochs
from tinygan_keras.runs.distill import distill
from tinygan_keras.runs.planning import plan
from tinygan_keras.runs.teacher_config import default_teacher_config


@pytest.fixture(scope="module", autouse=True)
def _small_machine(tmp_path_factory):
    """Steps run eagerly, as in test_run.py, and nothing is timed for long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            TinyGAN, "compile", functools.partialmethod(TinyGAN.compile, run_eagerly=True)
        )
        brief = functools.partial(measuring.images_per_second, seconds=0.0)
        patch.setattr(measuring, "images_per_second", brief)
        patch.setattr(planning, "_STEPS_SECONDS", 0.1)
        patch.setattr(planning, "_SAMPLING_BATCH", 8)
        patch.setattr(planning, "_CACHED", 8)
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A plan of a run with everything that is measured, its config, and the folder of its run to be."""
    folder = tmp_path_factory.mktemp("whole")
    config = tiny_config(folder)
    config.evaluate_every, config.training_evaluation_images = 1, 10
    config.collapse_share = 0.5
    workdir = folder / "runs" / "mine"
    with pytest.MonkeyPatch.context() as patch:
        temporary = tmp_path_factory.mktemp("temporary")
        patch.setattr(tempfile, "tempdir", str(temporary))
        found = plan(config, time="1h", workdir=workdir)
    return found, config, workdir, temporary


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """The config of a finished run with an evaluation, and its folder."""
    folder = tmp_path_factory.mktemp("evaluated")
    config = tiny_config(folder)
    distill(config, folder / "run")
    return config, folder / "run"


@pytest.fixture
def small(tmp_path):
    return small_config(tmp_path)


@pytest.fixture
def brief(monkeypatch):
    """Leaves out the export, which takes the longest and is tried in `whole`."""
    monkeypatch.setattr(planning, "save_results", lambda *_: None)


def test_phases_are_those_of_a_run(whole):
    found, config, *_ = whole
    seconds = found["seconds_by_phase"]
    phases = {"preparation", "teacher_samples", "training", "evaluation", "export"}
    assert set(seconds) == phases and all(value > 0 for value in seconds.values())
    assert found["seconds"] == pytest.approx(sum(seconds.values()))
    steps = config.steps * found["step_seconds"] + epochs(config) * found["epoch_seconds"]
    evaluations = 2 * found["training_evaluation_seconds"]
    assert seconds["training"] >= steps + evaluations + found["compile_seconds"]


def test_figures_follow_from_the_config(whole):
    found, *_ = whole
    assert (found["samples"], found["pairs"]) == (16, 24)
    assert found["passes"] == pytest.approx(16 / 24)
    assert (found["classes"], found["epochs"], found["evaluations"]) == (10, 2, 2)
    assert found["disk"] > 0 and found["memory"] > 0 and found["cache"]["bytes"] > 100
    assert found["warnings"]  # of 24 pairs


def test_nothing_is_left_behind(whole):
    *_, workdir, temporary = whole
    assert not workdir.parent.exists()
    assert not list(temporary.glob("*plan*"))


def test_a_proposal_is_a_config_that_fills_the_time(whole):
    found, config, *_ = whole
    proposal = found["proposal"]
    settings = proposal["settings"]
    assert settings["steps"] == 2 * settings["steps_per_epoch"] > config.steps
    assert proposal["seconds"] == pytest.approx(0.9 * 3600, rel=0.02)
    passes = settings["steps"] * config.batch_size / settings["teacher_samples"]
    assert passes == pytest.approx(12, rel=0.1)  # the config's, less than one, is unlike any run
    planning.validate(config.to_dict() | settings)


def test_a_plan_can_be_kept_as_json(whole):
    assert json.loads(json.dumps(whole[0]))["samples"] == 16


@pytest.mark.parametrize(("more", "timed"), [(0, [True]), (10, [True, False])])
def test_a_reference_student_is_timed_where_its_own_evaluation_is_another(
    evaluated, tmp_path, monkeypatch, more, timed
):
    found = []

    def noted(components, config, counts, with_teacher):
        found.append(with_teacher)
        return time_evaluations(components, config, counts, with_teacher)

    time_evaluations = planning.time_evaluations
    monkeypatch.setattr(planning, "time_evaluations", noted)
    config, workdir = evaluated
    config = config.copy_and_resolve_references()
    config.reference_student = str(workdir)
    config.evaluation_images += more
    trial = planning._Trial(planning.validate(config), tmp_path)
    trial.prepare()
    trial.time_evaluation()
    assert found == timed  # without the teacher: of the reference student


@pytest.mark.full
def test_a_live_teacher_that_takes_the_step_is_named_and_a_cache_proposed(
    small, brief, monkeypatch
):
    small.update({"teacher_samples": 0, "truncation": 1.0})

    def slow(*arguments):
        for samples in samples_of(*arguments):
            time.sleep(2)  # more than half of a step on a busy machine, too
            yield samples

    samples_of = planning.generate_samples
    monkeypatch.setattr(planning, "generate_samples", slow)
    found = plan(small, time="2h")
    assert found["seconds_by_phase"]["teacher_samples"] == 0 and found["pairs"] is None
    assert any("The live teacher takes" in warning for warning in found["warnings"])
    cache = found["proposal"]["cache"]
    assert cache["count"] == cache["settings"]["steps"] * small.batch_size // 12
    assert "teacher_samples" not in found["proposal"]["settings"]


@pytest.mark.full
def test_a_cache_of_pairs_needs_no_teacher(small, brief, tmp_path):
    from tinygan_keras.data.teacher_cache import write_cache
    from tinygan_keras.teachers.hub import HubTeacher

    write_cache(HubTeacher(small.teacher, truncation=0.5), tmp_path / "cache", 20, progress=False)
    small.update({"teacher": "none", "teacher_samples": 0, "truncation": 0.5})
    small.teacher_cache = str(tmp_path / "cache")
    found = plan(small)
    assert found["pairs"] == 20 and found["cache"] is None
    assert found["teacher_images_a_second"] is None and found["proposal"] is None


def test_a_disk_too_small_is_a_warning_with_the_figures_of_the_run(
    small, brief, tmp_path, monkeypatch
):
    place = tmp_path / "disk" / "runs"
    (tmp_path / "disk").mkdir()

    def disk_usage(path):
        return SimpleNamespace(free=2**20 if "disk" in Path(path).parts else 2**40)

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    monkeypatch.setattr(planning, "check_trackers", bool)  # they may be missing here
    small.trackers = "csv,wandb,mlflow"  # of which no record is begun
    found = plan(small, workdir=place)
    assert not place.exists()
    with pytest.raises(UnusableFileError) as refused:
        distill(small.to_dict() | {"trackers": "csv"}, place)
    refused_there = str(refused.value).replace(str(place), str(place.parent))  # made by then
    assert refused_there in found["warnings"]
    assert f"Expected {found['disk'] >> 20} MiB" in refused_there


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"stepz": 3}, InputError, "Did you mean 'steps'"),
        ({"steps": 3}, InputError, "Expected whole epochs"),
        ({"teacher": "nowhere/teacher"}, MissingFileError, "nowhere/teacher"),
        ({"teacher_cache": "nowhere/cache", "teacher_samples": 0}, MissingFileError, "nowhere"),
    ],
)
def test_what_distill_refuses_a_plan_refuses_in_the_same_words(
    small, tmp_path, changes, error, words
):
    settings = small.to_dict() | changes
    with pytest.raises(error, match=words) as refused:
        plan(settings)
    with pytest.raises(error) as refused_there:
        distill(settings, tmp_path / "run")
    assert str(refused.value) == str(refused_there.value)


def test_what_only_a_plan_refuses(small):
    with pytest.raises(InputError, match="8h, 90m or 1h30m"):
        plan(small, time="eight hours")
    with pytest.raises(InputError, match="one of tinygan teach. Expected one of tinygan distill"):
        plan(default_teacher_config())
    with pytest.raises(InputError, match="Expected the devices of this host"):
        plan(small.to_dict() | {"devices": "multi_worker"})
    with pytest.raises(InputError, match="Got time='1h' and debug=True.*Leave out --config.debug"):
        plan(small.to_dict() | {"debug": True}, time="1h")
