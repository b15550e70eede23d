"""The alarm for collapse: what it measures, when it rings, what it keeps."""

import json

import keras
import numpy as np
import pytest

from tinygan_keras.runs.collapse import CollapseAlarm, diversity, fallen, small_images
from tinygan_keras.runs.config import validate
from tinygan_keras.runs.distill import distill

LABELS = np.repeat([2, 5], 4)


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
    alarm = CollapseAlarm(Gallery(), None, folder, share=0.5, patience=2, stop=stop)
    alarm.set_model(model)
    alarm.set_params({"epochs": 100})
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


@pytest.mark.parametrize("setting", [{"collapse_share": 1.5}, {"on_collapse": "panic"}])
def test_wrong_settings_are_refused(setting):
    with pytest.raises(ValueError, match=f"Got {next(iter(setting))}="):
        validate({"teacher": "x", **setting})


def test_a_run_has_the_figures_in_its_history(tmp_path):
    from run_fixtures import small_config

    config = small_config(tmp_path)
    config.update({"collapse_share": 0.5, "collapse_epochs": 1, "on_collapse": "stop"})
    config.update({"steps": 8, "steps_per_epoch": 2})
    report = distill(config, tmp_path / "run")
    rows = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert "lowest_diversity" in rows[0]
    # Hardly trained, its images are all alike: after a quarter of the run that is a collapse.
    assert report["steps"] == 4 and len(rows) == 3
