"""Checkpoints survive any interruption, and the pictures of a training go on after one."""

import keras
import numpy as np
import pytest
from PIL import Image
from run_fixtures import tiny_gan

from tinygan_keras.runs.checkpoints import Checkpoints, latest_checkpoint, load_checkpoint, state_of
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
    (tmp_path / ".unfinished-0-epoch_00002.weights.h5").write_bytes(b"half")
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
