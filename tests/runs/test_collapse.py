"""The alarm for collapse: what it measures, when it rings, what it keeps."""

import functools
import json
import shutil

import keras
import numpy as np
import pytest
from run_fixtures import interrupt, small_config

from tinygan_keras.distillation.tinygan import TinyGAN
from tinygan_keras.generators.opening import load_student
from tinygan_keras.runs import collapse, measuring
from tinygan_keras.runs.checkpoints import latest_checkpoint
from tinygan_keras.runs.collapse import CollapseAlarm, diversity, fallen, small_images
from tinygan_keras.runs.config import load_config, validate
from tinygan_keras.runs.distill import distill

LABELS = np.repeat([2, 5], 4)


@pytest.fixture(autouse=True)
def _brief(monkeypatch):
    brief = functools.partial(measuring.images_per_second, seconds=0.0)
    monkeypatch.setattr(measuring, "images_per_second", brief)


@pytest.fixture
def eager(monkeypatch):
    """Steps without a graph: tracing one takes longer than a few steps."""
    eagerly = functools.partialmethod(TinyGAN.compile, run_eagerly=True)
    monkeypatch.setattr(TinyGAN, "compile", eagerly)


def test_diversity_is_the_mean_distance_of_pairs_of_a_class():
    features = np.array([[0.0, 0.0], [3.0, 4.0], [7.0, 7.0], [7.0, 7.0], [0.0, 8.0]])
    labels = np.array([1, 1, 4, 4, 1])
    # Class 1: 5, 8 and 5 apart; class 4: twice the same.
    expected = (5 + 8 + 5) / 3
    assert diversity(features, labels) == pytest.approx({1: expected, 4: 0.0})


def test_small_images_are_means_of_blocks():
    images = np.arange(2 * 16 * 16 * 3, dtype="uint8").reshape(2, 16, 16, 3)
    small = small_images(images)
    assert small.shape == (2, 8, 8, 3)
    assert small[1, 2, 3, 0] == images[1, 4:6, 6:8, 0].mean()
    assert small_images(images[:, :4, :4]).shape == (2, 4, 4, 3)


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([0.9, 0.9, 0.1, 0.1, 0.1], [0]),
        ([0.9, 0.9, 0.1, 0.1], []),  # not long enough
        ([0.9, 0.1, 0.1, 0.6, 0.1, 0.1], []),  # it came back
        ([0.1, 0.1, 0.1, 0.1], []),  # a student begins like that
        ([0.1] * 8, [0]),  # but it has had its time
        ([0.1, 0.6, 0.1, 0.1, 0.1], [0]),
        ([], []),
    ],
)
def test_a_class_has_fallen_when_it_stays_low(shares, expected):
    rows = [[share, 0.9] for share in shares]
    assert fallen(rows, 0.5, patience=3, grace=5) == expected


class Gallery:
    labels, class_names = LABELS, ("?", "?", "Bag", "?", "?", "Coat")
    teacher_images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3)).astype("uint8")

    def images(self, student):
        scale = np.array(student.spread).reshape(2, 1)[np.searchsorted([2, 5], LABELS)]
        centred = self.teacher_images.astype("float32") - 128
        return (128 + centred * scale[:, :, None, None]).astype("uint8")


class Student(keras.Sequential):
    spread = (1.0, 1.0)


def run(folder, spreads, first=0, stop=False):
    model = keras.Sequential()
    model.stop_training = False
    model.ema_student = Student([keras.Input((1,)), keras.layers.Dense(1)])
    action = "stop" if stop else "warn"
    alarm = CollapseAlarm(Gallery(), None, folder, share=0.5, patience=2, grace=25, action=action)
    alarm.set_model(model)
    logs = []
    for epoch, spread in enumerate(spreads, first):
        model.ema_student.spread = spread
        model.ema_student.layers[-1].bias.assign([float(epoch)])
        logs.append({})
        alarm.on_epoch_end(epoch, logs[-1])
    return model, logs


def test_it_names_the_class_and_keeps_the_last_good_student(tmp_path, capsys):
    _, logs = run(tmp_path, [(1, 1), (1, 1), (1, 0.2), (1, 0.2), (1, 0.2)])
    said = capsys.readouterr().out
    assert said.count("Collapse after epoch 4") == said.count("Collapse") == 1
    assert "Coat (0." in said and "Bag" not in said and "goes on" in said
    assert logs[1]["lowest_diversity"] == pytest.approx(1, abs=0.01)
    assert logs[3]["lowest_diversity"] == pytest.approx(0.2, abs=0.02)
    custom = {"Student": Student}
    kept = keras.saving.load_model(tmp_path / "last_good_student.keras", custom)
    assert kept.layers[-1].bias.numpy() == [1.0]  # of the second epoch


def test_it_stops_the_training_only_if_asked(tmp_path):
    spreads = [(1, 1), (0.1, 1), (0.1, 1)]
    assert run(tmp_path / "stop", spreads, stop=True)[0].stop_training
    assert not run(tmp_path / "warn", spreads)[0].stop_training


def test_a_resumed_run_counts_on_and_forgets_what_is_trained_again(tmp_path, capsys):
    run(tmp_path, [(1, 1), (1, 0.1)])
    run(tmp_path, [(1, 0.1)], first=2)
    assert "Collapse after epoch 3" in capsys.readouterr().out
    run(tmp_path, [(1, 0.1)], first=1)  # from the checkpoint before
    assert len(json.loads((tmp_path / "diversity.json").read_text())["rows"]) == 2
    assert "Collapse" not in capsys.readouterr().out


def test_a_healthy_training_is_left_alone(tmp_path, capsys):
    run(tmp_path, [(1, 0.8), (0.7, 1.2), (0.9, 0.9), (0.4, 1), (1, 1)])
    assert "Collapse" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "setting",
    [
        {"collapse_share": 1.5},
        {"on_collapse": "panic"},
        {"collapse_rate_factor": 1.0},
        {"collapse_roll_backs": 0},
        {"on_collapse": "roll_back", "devices": "multi_worker"},
    ],
)
def test_wrong_settings_are_refused(setting):
    with pytest.raises(ValueError, match=f"Got {next(iter(setting))}="):
        validate({"teacher": "x", **setting})


def test_a_run_has_the_figures_in_its_history(eager, tmp_path):
    config = small_config(tmp_path)
    config.update({"collapse_share": 0.5, "collapse_epochs": 1, "on_collapse": "stop"})
    config.update({"steps": 8, "steps_per_epoch": 2})
    report = distill(config, tmp_path / "run")
    rows = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert "lowest_diversity" in rows[0]
    # Hardly trained, its images are all alike: after a quarter of the run that is a collapse.
    assert report["steps"] == 4 and len(rows) == 3


@pytest.fixture
def rolling(tmp_path):
    """The config of a run of four epochs that goes back after the first low one."""
    config = small_config(tmp_path)
    config.update({"collapse_share": 0.5, "collapse_epochs": 1, "on_collapse": "roll_back"})
    config.update({"collapse_rate_factor": 0.25, "steps": 8, "steps_per_epoch": 2})
    config.update({"ema_decay": 0.0, "learning_rate_decay_start": 0.0})
    return config


@pytest.fixture
def shares(monkeypatch):
    """Has the alarm find given shares of the teacher's diversity, epoch by epoch, in place of real ones."""
    left = []

    def found(alarm, images):
        of_teacher = not hasattr(alarm, "teacher")
        return dict.fromkeys([2, 5], 1.0) if of_teacher else {2: 1.0, 5: left.pop(0)}

    monkeypatch.setattr(CollapseAlarm, "_diversity", found)
    return left


def weights_of(folder):
    return load_student(folder).get_weights()


def assert_equal_weights(folder, expected):
    for one, other in zip(weights_of(folder), expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_roll_back_trains_on_from_the_good_state_with_lower_rates(
    rolling, shares, tmp_path, capsys
):
    shares += [1, 1, 0.1, 1, 1]
    report = distill(rolling, tmp_path / "run")
    (record,) = report["collapse_roll_backs"]
    name = record["classes"][0]
    expected = {"collapsed_after": 3, "back_to": 2, "classes": [name], "learning_rates_times": 0.25}
    assert record == expected and report["steps"] == 8 and not shares
    assert f"images of {name} (0.10)" in (said := capsys.readouterr().out)
    assert "Back to epoch 2, both learning rates times 0.25" in said
    rows = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "0", "1", "2", "3"]

    # The same by hand: two epochs, and their checkpoint in a run with a quarter of the rates.
    rolling.on_collapse = "warn"
    shares += [1, 1, 1, 1]
    interrupt(distill, rolling, tmp_path / "first", after=2)
    for rate in ("g_learning_rate", "d_learning_rate"):
        rolling[rate] *= 0.25
    shutil.copytree(tmp_path / "first" / "checkpoints", tmp_path / "second" / "checkpoints")
    distill(rolling, tmp_path / "second")
    assert_equal_weights(tmp_path / "run", weights_of(tmp_path / "second"))


def test_a_kill_after_a_roll_back_resumes_with_the_lower_rates(eager, rolling, shares, tmp_path):
    shares += [1, 0.1, 1, 1, 1]
    distill(rolling, tmp_path / "untouched")
    shares += [1, 0.1, 1, 1, 1]
    interrupt(distill, rolling, tmp_path / "killed", after=2)
    assert latest_checkpoint(tmp_path / "killed" / "checkpoints").epoch == 2
    report = distill(rolling, tmp_path / "killed")
    assert len(report["collapse_roll_backs"]) == 1 and report["steps"] == 8
    assert_equal_weights(tmp_path / "killed", weights_of(tmp_path / "untouched"))


def test_a_kill_inside_a_roll_back_rolls_back_again(eager, rolling, shares, tmp_path, monkeypatch):
    shares += [1, 1, 0.1, 1, 1]
    distill(rolling, tmp_path / "untouched")

    def killed(path, value):
        if path.name == "roll_backs.json":
            raise KeyboardInterrupt
        write_json(path, value)

    write_json = collapse.write_json
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(collapse, "write_json", killed)
        shares += [1, 1, 0.1]
        distill(rolling, tmp_path / "killed")
    shares += [0.1, 1, 1]
    report = distill(rolling, tmp_path / "killed")
    assert len(report["collapse_roll_backs"]) == 1
    assert_equal_weights(tmp_path / "killed", weights_of(tmp_path / "untouched"))


def test_after_the_last_roll_back_a_collapse_ends_the_run(eager, rolling, shares, tmp_path, capsys):
    rolling.collapse_roll_backs = 2
    shares += [1, 0.1, 0.1, 0.1]
    report = distill(rolling, tmp_path)
    factors = [each["learning_rates_times"] for each in report["collapse_roll_backs"]]
    assert factors == [0.25, 0.0625] and report["steps"] == 4
    assert "The training stops." in capsys.readouterr().out
    (tmp_path / "report.json").unlink()
    assert distill(rolling, tmp_path)["steps"] == 4  # it doesn't go on to train


def test_without_a_good_state_there_is_nothing_to_go_back_to(
    eager, rolling, shares, tmp_path, capsys
):
    shares += [0.1, 0.1, 0.1, 0.1]
    report = distill(rolling, tmp_path)
    assert report["collapse_roll_backs"] == [] and report["steps"] == 8
    said = capsys.readouterr().out
    assert "none was good" in said and "The training goes on." in said


@pytest.mark.slow
def test_it_rings_in_a_training_that_collapses(repository, tmp_path, capsys):
    config = load_config(repository / "experiments" / "fashion_mnist" / "collapse.py")
    report = distill(config, tmp_path)
    assert report["steps"] < config.steps
    assert "Collapse after epoch" in capsys.readouterr().out
    assert (tmp_path / "diversity" / "last_good_student.keras").is_file()
