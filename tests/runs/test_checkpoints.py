"""Checkpoints survive any interruption, and the pictures of a training go on after one."""

import contextlib
import os
import shutil
import signal
import threading
import time

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from run_fixtures import gan_batches, tiny_gan

from tinygan_keras.errors import InputError, UnusableFileError
from tinygan_keras.runs import checkpoints as module
from tinygan_keras.runs.checkpoints import (
    Checkpoint,
    Checkpoints,
    RestOfEpoch,
    latest_checkpoint,
    load_checkpoint,
    restore_latest,
    state_of,
)
from tinygan_keras.runs.interruptions import Interrupted, Interruptions
from tinygan_keras.runs.progress_pictures import ProgressPictures


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.ema_student, model.step = keras.Sequential(name="averaged_student"), 0
    return model


def end_epochs(callback, model, *done):
    callback.set_model(model)
    callback.on_train_begin()
    for epoch in done:
        model.step = 10 * epoch
        callback.on_epoch_end(epoch - 1)
    if isinstance(callback, Checkpoints):
        callback.close()


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_latest_checkpoint_holds_the_last_weights(tmp_path, model):
    checkpoints = Checkpoints(tmp_path / "new")
    model.set_weights([np.full((1, 1), 3.0), np.ones(1)])
    end_epochs(checkpoints, model, 9, 10)

    epoch, step, path = latest_checkpoint(tmp_path / "new")
    model.set_weights([np.zeros((1, 1)), np.zeros(1)])
    model.load_weights(path)

    assert (epoch, step) == (10, 0)
    assert model.get_weights()[0] == 3.0


def test_the_last_two_are_kept(tmp_path, model):
    end_epochs(Checkpoints(tmp_path), model, 8, 9, 10)
    assert names_in(tmp_path) == ["epoch_00009.weights.h5", "epoch_00010.weights.h5"]


def test_what_is_inside_an_epoch_comes_between_its_ends(tmp_path):
    names = ("epoch_00002", "epoch_00001_step_00000009", "epoch_00001", "epoch_x", "epoch_3_step_")
    for name in names:
        (tmp_path / f"{name}.weights.h5").touch()
    found = [str(checkpoint) for checkpoint in module.checkpoints_in(tmp_path)]
    assert found == ["epoch 2", "epoch 1 and 9 steps", "epoch 1"]


def test_interrupted_write_keeps_the_former_checkpoint(tmp_path, model, monkeypatch):
    end_epochs(Checkpoints(tmp_path), model, 1)
    before = latest_checkpoint(tmp_path)

    def stop_half_way(path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "save_weights", stop_half_way)
    with pytest.raises(KeyboardInterrupt):
        end_epochs(Checkpoints(tmp_path), model, 2)

    assert latest_checkpoint(tmp_path) == before
    model.load_weights(before.path)


def test_what_an_interrupted_write_left_is_no_checkpoint_and_is_removed(tmp_path, model):
    (tmp_path / ".unfinished-0-epoch_00002.weights.h5").write_bytes(b"half")
    assert latest_checkpoint(tmp_path) == Checkpoint()
    Checkpoints(tmp_path).on_train_begin()
    assert not list(tmp_path.iterdir())


def test_a_damaged_checkpoint_is_named(tmp_path, model):
    path = tmp_path / "epoch_00001.weights.h5"
    path.write_bytes(b"half")
    with pytest.raises(ValueError, match=r"Got the checkpoint .*epoch_00001.* can't be read"):
        load_checkpoint(model, path)


def test_no_checkpoint_is_epoch_zero(tmp_path):
    assert latest_checkpoint(tmp_path / "missing") == Checkpoint(0, 0, None)


def damage(path, how):
    if how == "truncated":
        os.truncate(path, path.stat().st_size // 2)
    elif how == "empty":
        os.truncate(path, 0)
    elif how == "zeros in it":  # which HDF5 may notice, and its values may hide
        size = path.stat().st_size
        with open(path, "r+b") as file:
            file.seek(size // 4)
            file.write(bytes(size // 2))
    elif how == "a value changed":
        with h5py.File(path, "a") as file:
            places = []
            file.visititems(
                lambda _, item: places.append(item) if isinstance(item, h5py.Dataset) else None
            )
            places[-1][()] = places[-1][()] + 1
    else:
        with h5py.File(path, "a") as file:
            file.attrs["tinygan_checkpoint"] = 99


@pytest.mark.parametrize(
    "how", ["truncated", "empty", "zeros in it", "a value changed", "of a later version"]
)
def test_in_place_of_a_damaged_checkpoint_the_one_before_is_taken(tmp_path, model, capsys, how):
    callback = Checkpoints(tmp_path)
    model.set_weights([np.full((1, 1), 1.0), np.ones(1)])
    end_epochs(callback, model, 4)
    model.set_weights([np.full((1, 1), 2.0), np.ones(1)])
    end_epochs(Checkpoints(tmp_path), model, 5)
    damage(latest_checkpoint(tmp_path).path, how)

    checkpoint, figures = restore_latest(model, tmp_path)

    assert (checkpoint.epoch, figures, model.get_weights()[0]) == (4, [], 1.0)
    said = capsys.readouterr().out
    assert "epoch_00005.weights.h5, which can't be read" in said and "the one before" in said
    # Set aside, it doesn't outlive the good ones that follow.
    assert "unreadable-epoch_00005.weights.h5" in names_in(tmp_path)
    assert latest_checkpoint(tmp_path).epoch == 4
    damage(checkpoint.path, how)
    with pytest.raises(InputError, match="epoch_00004.* can't be read.*start anew"):
        restore_latest(model, tmp_path)


class Clock:
    """A monotonic clock that a test moves; the clock on the wall jumps about."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "time", iter(range(10**9, 0, -(10**6))).__next__)


def test_minutes_are_counted_by_a_clock_that_nobody_sets(tmp_path, monkeypatch):
    clock, model = Clock(monkeypatch), tiny_gan()
    callback = Checkpoints(tmp_path, minutes=10)
    callback.set_model(model)
    callback.set_params({"steps": 100})
    callback.on_train_begin()
    callback.on_epoch_begin(2)
    for batch in range(6):
        clock.now += 5 * 60
        callback.on_train_batch_end(batch)
    callback.close()
    assert names_in(tmp_path) == [
        "epoch_00002_step_00000004.weights.h5",
        "epoch_00002_step_00000006.weights.h5",
    ]


def test_zero_minutes_are_the_ends_of_epochs_only(tmp_path, monkeypatch, model):
    clock = Clock(monkeypatch)
    callback = Checkpoints(tmp_path, minutes=0)
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    clock.now += 1e9
    callback.on_train_batch_end(0)
    assert not names_in(tmp_path)


def test_a_folder_of_checkpoints_that_vanishes_is_made_again(tmp_path, model):
    folder = tmp_path / "checkpoints"
    callback = Checkpoints(folder)
    end_epochs(callback, model, 1)
    shutil.rmtree(folder)
    callback.on_epoch_end(1)
    callback.close()
    assert names_in(folder) == ["epoch_00002.weights.h5"]


def test_a_folder_that_cannot_be_written_is_told_before_the_first_step(tmp_path, model):
    (tmp_path / "checkpoints").touch()
    callback = Checkpoints(tmp_path / "checkpoints")
    callback.set_model(model)
    with pytest.raises(UnusableFileError, match="which is a file"):
        callback.on_train_begin()


def test_a_failure_of_the_disk_is_reported_at_the_next_step(tmp_path, model, monkeypatch):
    callback = Checkpoints(tmp_path)
    end_epochs(callback, model, 1)

    def fail(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tinygan_keras.files._flush", fail)
    callback.on_epoch_begin(1)
    callback.on_epoch_end(1)
    module.concurrent.futures.wait([callback._writing])
    with pytest.raises(UnusableFileError, match="No space left"):
        callback.on_train_batch_end(0)
    assert names_in(tmp_path) == ["epoch_00001.weights.h5"]


STEPS = 3


def signal_at(step, number):
    """Sends a signal to this process in the middle of a step."""
    steps = iter(range(10**6))

    def send(batch, logs):
        if next(steps) == step:
            os.kill(os.getpid(), number)

    return keras.callbacks.LambdaCallback(on_train_batch_begin=send)


def train(folder, epochs=2, first=None, minutes=0.0, strategy=None):
    """Trains from the last checkpoint on as a run does; returns the model and the figures of its epochs."""
    keras.utils.set_random_seed(0)
    with (strategy or tf.distribute.get_strategy()).scope():
        model = tiny_gan()
    start, figures = restore_latest(model, folder)
    data = gan_batches(STEPS).repeat().skip(start.epoch * STEPS + start.step)
    with (
        Interruptions().noticed() as interruptions,
        contextlib.closing(
            Checkpoints(folder, minutes, interruptions, resumed_steps=start.step)
        ) as checkpoints,
    ):
        callbacks = [RestOfEpoch(start.step, figures), *([first] if first else []), checkpoints]
        settings = {"epochs": epochs, "initial_epoch": start.epoch, "steps_per_epoch": STEPS}
        history = model.fit(data, verbose=0, shuffle=False, callbacks=callbacks, **settings)
    return model, history.history


@pytest.mark.parametrize("mirrored", [False, pytest.param(True, marks=pytest.mark.full)])
def test_signals_save_at_the_next_step_and_the_run_comes_out_the_same(tmp_path, mirrored):
    strategy = None
    if mirrored:
        # Collectives of a second strategy in one process collide on CPUs, and other tests have theirs.
        to_one = tf.distribute.ReductionToOneDevice()
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=to_one)
    whole, expected = train(tmp_path / "whole", strategy=strategy)
    done = 0
    for step, number, code in ((1, signal.SIGTERM, 143), (2, signal.SIGINT, 130)):
        with pytest.raises(Interrupted) as caught:
            train(tmp_path / "run", first=signal_at(step, number), strategy=strategy)
        assert caught.value.exit_code == code
        checkpoint = latest_checkpoint(tmp_path / "run")
        done += step + 1
        assert checkpoint.epoch * STEPS + checkpoint.step == done, "work is lost"
    model, history = train(tmp_path / "run", strategy=strategy)

    for one, other in zip(state_of(model), state_of(whole), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    for name, values in history.items():
        np.testing.assert_allclose(values, expected[name][-len(values) :], rtol=1e-6)
    assert latest_checkpoint(tmp_path / "run").epoch == 2


def test_the_second_signal_stops_at_once():
    interruptions = Interruptions()
    interruptions.holds = lambda: True
    with interruptions.noticed():
        os.kill(os.getpid(), signal.SIGTERM)
        assert interruptions.number == signal.SIGTERM
        with pytest.raises(Interrupted) as caught:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
    assert caught.value.exit_code == 130


def test_where_nothing_is_to_be_saved_a_signal_stops_at_once_and_is_undone_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted), Interruptions().noticed():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
    assert signal.getsignal(signal.SIGTERM) is before


def test_outside_the_main_thread_signals_are_left_alone():
    def listen():
        with Interruptions().noticed() as interruptions:
            numbers.append(interruptions.number)

    numbers = []
    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert numbers == [0]


def frame(student, step):
    assert student.name == "averaged_student"
    return np.full((2, 2, 3), step, "uint8")


def test_pictures_are_drawn_at_the_start_and_every_few_epochs(tmp_path, model):
    end_epochs(ProgressPictures(tmp_path, frame, every=2), model, 1, 2, 3, 4)

    names = sorted(path.name for path in tmp_path.iterdir())

    assert names == ["epoch_00000.png", "epoch_00002.png", "epoch_00004.png"]
    assert np.asarray(Image.open(tmp_path / "epoch_00004.png")).max() == 40


def test_resumed_training_keeps_the_first_picture(tmp_path, model):
    end_epochs(ProgressPictures(tmp_path, frame), model, 1)
    model.step = 99
    end_epochs(ProgressPictures(tmp_path, frame), model, 2)

    assert len(list(tmp_path.iterdir())) == 3
    assert np.asarray(Image.open(tmp_path / "epoch_00000.png")).max() == 0


def test_state_is_everything_but_the_figures_of_an_epoch():
    model = tiny_gan()
    paths = [variable.path for variable in state_of(model)]
    assert len(paths) == len(set(map(id, state_of(model))))
    expected = [model.step, model.pixel_weight, model.failures]
    expected += model.student.variables + model.ema_student.variables
    expected += model.discriminator.variables
    expected += model.g_optimizer.variables + model.d_optimizer.variables
    assert {id(v) for v in expected} == {id(v) for v in state_of(model)}
