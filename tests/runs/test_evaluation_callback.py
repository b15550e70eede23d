"""Evaluation during training: where the figures go, which student is kept, when training stops."""

import contextlib
import csv
import json
import math
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from run_fixtures import gan_batches, tiny_gan
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tinygan_keras.runs.checkpoints import Checkpoints, latest_checkpoint
from tinygan_keras.runs.evaluation_callback import EvaluationCallback


class Line(keras.Model):
    """What the callback needs of a TinyGAN, at a thousandth of the cost: a line and its average."""

    def __init__(self):
        super().__init__()
        line = keras.layers.Dense(1, kernel_initializer="ones", name="line")
        self.student = keras.Sequential([keras.Input((1,)), line])
        self.ema_student = keras.models.clone_model(self.student)
        self.ema_student.set_weights(self.student.get_weights())
        self.step = self.add_weight(name="step", shape=(), dtype="int64", trainable=False)
        self.compile(optimizer=None, run_eagerly=True)
        self.built = True

    def train_step(self, data):
        (kernel, bias), (mean_kernel, mean_bias) = self.student.weights, self.ema_student.weights
        kernel.assign(0.9 * kernel + 0.1 * tf.reduce_mean(data))
        bias.assign_add([0.25])
        mean_kernel.assign(0.5 * mean_kernel + 0.5 * kernel)
        mean_bias.assign(0.5 * mean_bias + 0.5 * bias)
        self.step.assign_add(1)
        return {"g_loss": tf.reduce_sum(kernel)}


def train(model, *callbacks, epochs, done=0):
    data = tf.data.Dataset.from_tensors([[3.0]])
    return model.fit(
        data, epochs=epochs, initial_epoch=done, callbacks=list(callbacks), verbose=0, shuffle=False
    )


def train_gan(model, *callbacks, epochs):
    return model.fit(
        gan_batches(1), epochs=epochs, callbacks=list(callbacks), verbose=0, shuffle=False
    )


class Figures:
    """Gives the distances one after the other, and remembers the students' weights."""

    def __init__(self, *distances):
        self.distances = list(distances)
        self.weights = []

    def __call__(self, student):
        self.weights.append(student.get_weights())
        return {
            "frechet_distance": self.distances[len(self.weights) - 1],
            "label_accuracy": np.float32(0.5),
        }


def by_step(*distances_of_epochs):
    """A function of the step of the model, as a real evaluation is: the same after a resume."""

    def make(model):
        return lambda student: {"frechet_distance": distances_of_epochs[int(model.step) - 1]}

    return make


def scalars(folder, tag):
    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    return {e.step: float(tf.make_ndarray(e.tensor_proto)) for e in accumulator.Tensors(tag)}


def record(folder):
    return json.loads((folder / "best.json").read_text())


def test_figures_join_the_logs_of_evaluated_epochs_and_are_nan_in_the_others():
    callback = EvaluationCallback(Figures(5, 4, 3, 2), every=2)
    history = train(Line(), callback, epochs=5).history
    np.testing.assert_array_equal(history["val_frechet_distance"], [5, 4, np.nan, 3, 2])
    np.testing.assert_array_equal(history["val_label_accuracy"], [0.5, 0.5, np.nan, 0.5, 0.5])


def test_the_evaluated_model_is_the_averaged_student():
    model, seen = Line(), []

    def evaluate(student):
        seen.append(student)
        return {"frechet_distance": 1.0}

    train(model, EvaluationCallback(evaluate), epochs=1)
    assert seen == [model.ema_student]


def test_csv_has_a_column_for_every_figure_from_the_first_row_on(tmp_path):
    path = tmp_path / "history.csv"
    callback = EvaluationCallback(Figures(5, 4, 3), every=3)
    history = train(Line(), callback, keras.callbacks.CSVLogger(path), epochs=4).history
    with path.open() as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert set(reader.fieldnames) == {"epoch", *history}
    assert [row["val_frechet_distance"] for row in rows] == ["5.0", "nan", "4.0", "3.0"]


def test_a_resumed_run_goes_on_with_the_columns_of_its_table(tmp_path):
    path = tmp_path / "history.csv"
    make, model = by_step(5.0, 4.0, 3.0, 2.0, 1.0), Line()
    first = EvaluationCallback(make(model), every=5, folder=tmp_path / "best")
    train(model, first, keras.callbacks.CSVLogger(path), epochs=1)
    second = EvaluationCallback(make(model), every=5, folder=tmp_path / "best")
    logger = keras.callbacks.CSVLogger(path, append=True)
    train(model, second, logger, epochs=5, done=1)
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["val_frechet_distance"] for row in rows] == ["5.0", "nan", "nan", "nan", "1.0"]
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3", "4"]


def test_tensorboard_behind_it_writes_the_figures_as_validation(tmp_path):
    tensorboard = keras.callbacks.TensorBoard(tmp_path, write_graph=False)
    train(Line(), EvaluationCallback(Figures(5, 4)), tensorboard, epochs=2)
    assert scalars(tmp_path / "validation", "epoch_frechet_distance") == {0: 5, 1: 4}


def test_its_own_tensorboard_folder_holds_evaluated_epochs_only(tmp_path):
    callback = EvaluationCallback(Figures(5, 4, 3, 2), every=2, log_dir=tmp_path)
    train(Line(), callback, epochs=5)
    assert scalars(tmp_path, "evaluation/frechet_distance") == {0: 5, 1: 4, 3: 3, 4: 2}


@pytest.mark.parametrize(("mode", "best"), [("min", 2), ("max", 3)])
def test_the_kept_student_is_the_one_of_the_best_epoch(tmp_path, mode, best):
    figures = Figures(5, 3, 7, 4)
    train(Line(), EvaluationCallback(figures, mode=mode, folder=tmp_path), epochs=4)

    student = keras.saving.load_model(tmp_path / "best_student.keras")
    for kept, expected in zip(student.get_weights(), figures.weights[best - 1], strict=True):
        np.testing.assert_array_equal(kept, expected)
    last = figures.weights[-1]
    assert any(not np.array_equal(a, b) for a, b in zip(student.get_weights(), last, strict=True))


def test_the_best_of_a_tinygan_is_kept_with_all_its_state(tmp_path):
    figures = Figures(5, 3, 7)
    train_gan(tiny_gan(), EvaluationCallback(figures, folder=tmp_path), epochs=3)

    model = tiny_gan()
    model.load_weights(tmp_path / "best.weights.h5")
    student = keras.saving.load_model(tmp_path / "best_student.keras")
    for weights in (model.ema_student.get_weights(), student.get_weights()):
        for kept, expected in zip(weights, figures.weights[1], strict=True):
            np.testing.assert_array_equal(kept, expected)
    assert int(model.step) == int(model.g_optimizer.iterations) == 2
    assert float(model.pixel_weight) == pytest.approx(0.2 - 0.01 * 2)


def test_the_record_tells_the_best_and_the_evaluations_since(tmp_path):
    train(Line(), EvaluationCallback(Figures(5, 3, 7, 3), folder=tmp_path), epochs=4)
    assert record(tmp_path) == {
        "monitor": "frechet_distance",
        "mode": "min",
        "epoch": 2,
        "value": 3.0,
        "figures": {"frechet_distance": 3.0, "label_accuracy": 0.5},
        "since": [{"epoch": 3, "value": 7.0}, {"epoch": 4, "value": 3.0}],
    }
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"best.json", "best.weights.h5", "best_student.keras"}


def test_another_figure_decides(tmp_path):
    values = iter([0.1, 0.9, 0.5])

    def evaluate(student):
        return {"frechet_distance": 1.0, "label_accuracy": next(values)}

    callback = EvaluationCallback(evaluate, monitor="label_accuracy", mode="max")
    train(Line(), callback, epochs=3)
    assert (callback.best.epoch, callback.best.value) == (2, 0.9)


def test_patience_counts_evaluations_and_stops(capsys):
    figures = Figures(5, 3, 4, 3, 1)  # after the epochs 1, 2, 4, 6, 8
    callback = EvaluationCallback(figures, every=2, patience=2)
    history = train(Line(), callback, epochs=20).history
    assert len(history["g_loss"]) == 6
    expected = "Stopping: 2 evaluations without a better frechet_distance; the best is still 3, after epoch 2"
    assert expected in capsys.readouterr().out


def test_an_improvement_starts_the_patience_anew():
    figures = Figures(5, 6, 4, 6, 3, 7, 8)
    history = train(Line(), EvaluationCallback(figures, patience=2), epochs=20).history
    assert len(history["g_loss"]) == 7


def test_an_epoch_that_another_callback_made_the_last_is_evaluated():
    figures = Figures(5, 4)
    stop = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: setattr(stop.model, "stop_training", epoch == 2)
    )
    history = train(Line(), stop, EvaluationCallback(figures, every=10), epochs=9).history
    np.testing.assert_array_equal(history["val_frechet_distance"], [5, np.nan, 4])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_no_improvement(tmp_path, capsys, bad):
    callback = EvaluationCallback(Figures(bad, 3, bad, bad), folder=tmp_path, patience=2)
    history = train(Line(), callback, epochs=9).history
    assert len(history["g_loss"]) == 4
    assert record(tmp_path)["epoch"] == 2
    assert f"frechet_distance is {bad} after epoch 1, which counts as no" in capsys.readouterr().out


def test_without_any_finite_value_training_stops_and_keeps_no_student(tmp_path, capsys):
    callback = EvaluationCallback(Figures(*[math.nan] * 3), folder=tmp_path, patience=3)
    train(Line(), callback, epochs=9)
    assert "none was a finite number" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["best.json"]
    resumed = EvaluationCallback(Figures(), folder=tmp_path, patience=3)
    resumed.restore(3)
    assert resumed.patience_is_used_up
    assert list(resumed.best.figures) == ["frechet_distance", "label_accuracy"]


@pytest.mark.full
def test_evaluation_does_not_disturb_the_training(tmp_path):
    def draw(student):
        latents = np.zeros((2, 3), "float32")
        images = student((latents, np.zeros(2, "int32")), training=False)
        return {"frechet_distance": float(np.mean(images))}

    def global_states():
        return random.getstate(), str(np.random.get_state()), float(tf.random.normal(()))

    def run(*callbacks):
        keras.utils.set_random_seed(7)
        model = tiny_gan()
        return train_gan(model, *callbacks, epochs=2).history, model, global_states()

    expected, alone, expected_states = run()
    callback = EvaluationCallback(draw, folder=tmp_path / "best", log_dir=tmp_path / "logs")
    history, watched, states = run(callback)
    assert states == expected_states
    assert {name: history[name] for name in expected} == expected
    for a, b in zip(alone.get_weights(), watched.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


class Killed(Exception):
    pass


def kill_after(epoch):
    def kill(ended, logs):
        if ended + 1 == epoch:
            raise Killed

    return keras.callbacks.LambdaCallback(on_epoch_end=kill)


@pytest.mark.parametrize(
    "epoch", [pytest.param(1, marks=pytest.mark.full), 2, pytest.param(4, marks=pytest.mark.full)]
)
@pytest.mark.parametrize("moment", ["before the checkpoint", "after the checkpoint"])
def test_a_killed_and_resumed_run_ends_as_one_that_was_not(tmp_path, epoch, moment):
    make = by_step(5.0, 3.0, math.nan, 2.0, 4.0, 6.0, 1.0)
    arguments = {"every": 2, "patience": 2}

    def run(folder, killer, done):
        model = Line()
        if done:
            model.load_weights(latest_checkpoint(folder / "checkpoints").path)
        callback = EvaluationCallback(make(model), folder=folder / "best", **arguments)
        checkpoints = Checkpoints(folder / "checkpoints")
        callbacks = [callback, checkpoints]
        callbacks.insert(2 if moment.startswith("after") else 1, killer)
        with contextlib.closing(checkpoints):
            train(model, *callbacks, epochs=7, done=done)
        return model

    whole, interrupted = tmp_path / "whole", tmp_path / "interrupted"
    expected = run(whole, kill_after(None), 0)
    with pytest.raises(Killed):
        run(interrupted, kill_after(epoch), 0)
    model = run(interrupted, kill_after(None), latest_checkpoint(interrupted / "checkpoints").epoch)

    assert record(interrupted / "best") == record(whole / "best")
    assert int(model.step) == int(expected.step) == 7
    students = [
        keras.saving.load_model(folder / "best" / "best_student.keras").get_weights()
        for folder in (whole, interrupted)
    ]
    for a, b in zip(*students, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_best_of_a_later_epoch_is_forgotten_and_said(tmp_path, capsys):
    model = Line()
    train(model, EvaluationCallback(Figures(5, 4, 1, 2), folder=tmp_path), epochs=4)
    earlier = EvaluationCallback(Figures(3, 6), folder=tmp_path, every=2)
    train(model, earlier, epochs=4, done=2)
    text = capsys.readouterr().out
    assert "is of epoch 3, but training goes on after epoch 2. It is forgotten" in text
    assert (record(tmp_path)["epoch"], record(tmp_path)["value"]) == (4, 3.0)
    assert text.count("forgotten") == 1


def test_evaluations_of_later_epochs_do_not_count_against_the_patience(tmp_path):
    train(Line(), EvaluationCallback(Figures(1, 2, 3, 4), folder=tmp_path), epochs=4)
    callback = EvaluationCallback(Figures(), folder=tmp_path, patience=2)
    callback.restore(2)
    assert (callback.best.epoch, len(callback.best.since)) == (1, 1)
    assert not callback.patience_is_used_up
    callback.restore(3)
    assert callback.patience_is_used_up


def test_training_anew_in_a_used_folder_starts_without_a_best(tmp_path, capsys):
    train(Line(), EvaluationCallback(Figures(1), folder=tmp_path), epochs=1)
    anew = EvaluationCallback(lambda student: {"frechet_distance": 9}, folder=tmp_path)
    train(Line(), anew, epochs=1)
    assert "is of epoch 1, but training goes on after epoch 0" in capsys.readouterr().out
    assert record(tmp_path)["figures"] == {"frechet_distance": 9.0}


def test_a_best_by_another_figure_is_forgotten_and_said(tmp_path, capsys):
    model = Line()
    train(model, EvaluationCallback(Figures(1), folder=tmp_path), epochs=1)
    other = EvaluationCallback(Figures(2), folder=tmp_path, monitor="label_accuracy", mode="max")
    train(model, other, epochs=2, done=1)
    assert "is that of the min of frechet_distance" in capsys.readouterr().out
    assert record(tmp_path)["value"] == 0.5


def test_a_best_without_its_student_is_forgotten_and_said(tmp_path, capsys):
    train(Line(), EvaluationCallback(Figures(1), folder=tmp_path), epochs=1)
    (tmp_path / "best_student.keras").unlink()
    callback = EvaluationCallback(Figures(), folder=tmp_path)
    callback.restore(1)
    assert callback.best.epoch is None
    assert "has lost its files" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"epoch": 3}', '{"monitor": "a", "mode": "min", "x": 1}']
)
def test_a_broken_record_is_refused(tmp_path, text):
    (tmp_path / "best.json").write_text(text)
    with pytest.raises(ValueError, match="no record of a best student"):
        train(Line(), EvaluationCallback(Figures(1), folder=tmp_path), epochs=1)


def test_an_interrupted_write_leaves_the_former_best_whole(tmp_path, monkeypatch):
    model, figures = Line(), Figures(5, 4)
    train(model, EvaluationCallback(figures, folder=tmp_path), epochs=1)

    def stop_half_way(path):
        path.write_bytes(b"half")
        raise Killed

    monkeypatch.setattr(model, "save_weights", stop_half_way)
    with pytest.raises(Killed):
        train(model, EvaluationCallback(figures, folder=tmp_path), epochs=2, done=1)
    assert record(tmp_path)["epoch"] == 1
    student = keras.saving.load_model(tmp_path / "best_student.keras")
    for kept, expected in zip(student.get_weights(), figures.weights[0], strict=True):
        np.testing.assert_array_equal(kept, expected)
    Line().load_weights(tmp_path / "best.weights.h5")


def test_an_unknown_monitor_names_the_figures_there_are():
    callback = EvaluationCallback(Figures(1), every=5, monitor="val_frechet_distance")
    with pytest.raises(ValueError, match="label_accuracy.*monitor='val_frechet_distance' among"):
        train(Line(), callback, epochs=9)


@pytest.mark.parametrize(
    "figures",
    [None, [1.0], {"a": {"b": 1.0}}, {"a": "1"}, {"a": None}, {"a": True}, {1: 1.0}, {"a": [1.0]}],
)
def test_anything_but_a_flat_dict_of_numbers_is_refused(figures):
    callback = EvaluationCallback(lambda student: figures, monitor="a")
    with pytest.raises(ValueError, match="flat dict"):
        train(Line(), callback, epochs=1)


def test_figures_with_other_names_than_the_last_time_are_refused():
    results = iter([{"frechet_distance": 1.0}, {"frechet_distance": 1.0, "more": 2.0}])
    with pytest.raises(ValueError, match="as the last time"):
        train(Line(), EvaluationCallback(lambda student: next(results)), epochs=2)


def test_a_name_that_the_logs_have_already_is_refused():
    callback = EvaluationCallback(lambda student: {"g_loss": 1.0}, monitor="g_loss", prefix="")
    with pytest.raises(ValueError, match="choose another prefix"):
        train(Line(), callback, epochs=1)


def test_a_model_without_an_averaged_student_is_refused():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    with pytest.raises(
        ValueError, match="Got a model of type Sequential, which has no ema_student"
    ):
        model.fit(np.ones((2, 1)), np.ones(2), callbacks=[EvaluationCallback(dict)], verbose=0)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"evaluate": 3}, "evaluate=3"),
        ({"mode": "auto"}, "mode='auto'"),
        ({"every": 0}, "every=0"),
        ({"every": 1.5}, "every=1.5"),
        ({"patience": 0}, "patience=0"),
    ],
)
def test_bad_settings_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        EvaluationCallback(**{"evaluate": dict, **setting})
