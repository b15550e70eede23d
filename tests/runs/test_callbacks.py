"""Checkpoints survive any interruption, and the pictures of a training go on after one."""

import keras
import numpy as np
import pytest
from PIL import Image

from tinygan_keras.runs.callbacks import (
    Checkpoints,
    ProgressPictures,
    latest_checkpoint,
    load_checkpoint,
)


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.ema_student, model.step = "averaged student", 0
    return model


def end_epochs(callback, model, *done):
    callback.set_model(model)
    callback.on_train_begin()
    for epoch in done:
        model.step = 10 * epoch
        callback.on_epoch_end(epoch - 1)


def test_latest_checkpoint_holds_the_last_weights(tmp_path, model):
    checkpoints = Checkpoints(tmp_path / "new")
    model.set_weights([np.full((1, 1), 3.0), np.ones(1)])
    end_epochs(checkpoints, model, 9, 10)

    epoch, path = latest_checkpoint(tmp_path / "new")
    model.set_weights([np.zeros((1, 1)), np.zeros(1)])
    model.load_weights(path)

    assert epoch == 10
    assert model.get_weights()[0] == 3.0
    assert len(list((tmp_path / "new").iterdir())) == 1


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
    model.load_weights(before[1])


def test_what_an_interrupted_write_left_is_no_checkpoint_and_is_removed(tmp_path, model):
    (tmp_path / "unfinished.weights.h5").write_bytes(b"half")
    assert latest_checkpoint(tmp_path) == (0, None)
    Checkpoints(tmp_path).on_train_begin()
    assert not list(tmp_path.iterdir())


def test_a_damaged_checkpoint_is_named(tmp_path, model):
    path = tmp_path / "epoch_00001.weights.h5"
    path.write_bytes(b"half")
    with pytest.raises(ValueError, match=r"Got the checkpoint .*epoch_00001.* can't be read"):
        load_checkpoint(model, path)


def test_no_checkpoint_is_epoch_zero(tmp_path):
    assert latest_checkpoint(tmp_path / "missing") == (0, None)


def draw(student, step):
    assert student == "averaged student"
    return np.full((2, 2, 3), step, "uint8")


def test_pictures_are_drawn_at_the_start_and_every_few_epochs(tmp_path, model):
    end_epochs(ProgressPictures(tmp_path, draw, every=2), model, 1, 2, 3, 4)

    names = sorted(path.name for path in tmp_path.iterdir())

    assert names == ["epoch_00000.png", "epoch_00002.png", "epoch_00004.png"]
    assert np.asarray(Image.open(tmp_path / "epoch_00004.png")).max() == 40


def test_resumed_training_keeps_the_first_picture(tmp_path, model):
    end_epochs(ProgressPictures(tmp_path, draw), model, 1)
    model.step = 99
    end_epochs(ProgressPictures(tmp_path, draw), model, 2)

    assert len(list(tmp_path.iterdir())) == 3
    assert np.asarray(Image.open(tmp_path / "epoch_00000.png")).max() == 0
