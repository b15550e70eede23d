"""Classes and real images of a run, by the names that its teacher gives them."""

from types import SimpleNamespace

import numpy as np
import pytest

from tinygan_keras.runs.components import open_data
from tinygan_keras.runs.config import default_config

NAMES = ("shoe", "hat", "glove")


@pytest.fixture
def teacher(tmp_path):
    folder = tmp_path / "teacher"
    folder.mkdir()
    (folder / "class_names.txt").write_text("\n".join(NAMES) + "\n")
    return SimpleNamespace(num_classes=3, image_size=8, folder=str(folder))


@pytest.fixture
def config(tmp_path):
    images = np.arange(6, dtype="uint8")[:, None, None, None] * np.ones((1, 8, 8, 3), "uint8")
    labels, names = np.arange(6) % 3, ("glove", "hat", "shoe")
    np.savez(tmp_path / "real.npz", images=images, labels=labels, class_names=names)
    config = default_config()
    config.data = str(tmp_path / "real.npz")
    return config


def test_real_labels_follow_the_teachers_own_names(config, teacher, capsys):
    real, names, classes = open_data(config, teacher)
    np.testing.assert_array_equal(real.labels, [2, 1, 0, 2, 1, 0])
    assert (names, classes) == (NAMES, None)
    assert "6 in 3 of 3 classes" in capsys.readouterr().out


def test_classes_may_be_called_by_name_without_any_real_image(config, teacher):
    config.update({"data": "none", "classes": "glove, hat"})
    assert open_data(config, teacher) == (None, NAMES, (1, 2))


def test_a_teacher_without_names_has_numbers(config, teacher, tmp_path):
    teacher.folder = str(tmp_path)
    config.data = "none"
    assert open_data(config, teacher) == (None, ("0", "1", "2"), None)
