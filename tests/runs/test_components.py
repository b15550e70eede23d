"""What a run is made of: classes by the names of the teacher, and which cache is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
from cache_fixtures import COUNT, PaintingTeacher, make

from tinygan_keras.runs.components import open_cache, open_data
from tinygan_keras.runs.config import default_config

NAMES = ("shoe", "hat", "glove")


@pytest.fixture
def teacher():
    return SimpleNamespace(num_classes=3, image_size=8)


@pytest.fixture
def config(tmp_path):
    images = np.arange(6, dtype="uint8")[:, None, None, None] * np.ones((1, 8, 8, 3), "uint8")
    labels, names = np.arange(6) % 3, ("glove", "hat", "shoe")
    np.savez(tmp_path / "real.npz", images=images, labels=labels, class_names=names)
    config = default_config()
    config.data = str(tmp_path / "real.npz")
    return config


def test_real_labels_follow_the_teachers_own_names(config, teacher):
    real, names, classes = open_data(config, teacher, NAMES)
    np.testing.assert_array_equal(real.labels, [2, 1, 0, 2, 1, 0])
    assert (names, classes) == (NAMES, None)
    assert "6 in 3 of 3 classes" in real.report()


def test_classes_may_be_called_by_name_without_any_real_image(config, teacher):
    config.update({"data": "none", "classes": "glove, hat"})
    assert open_data(config, teacher, NAMES) == (None, NAMES, (1, 2))


def test_a_teacher_without_names_has_numbers(config, teacher):
    config.data = "none"
    assert open_data(config, teacher) == (None, ("0", "1", "2"), None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    make(folder)
    return folder


@pytest.fixture
def cache_config(folder):
    config = default_config()
    config.update({"teacher": "painting/teacher", "teacher_cache": str(folder), "batch_size": 4})
    return config


def test_a_cache_of_this_teacher_is_opened(cache_config):
    assert open_cache(cache_config, PaintingTeacher(), None).count == COUNT


@pytest.mark.parametrize(
    ("settings", "changes", "message"),
    [
        ({}, {"content_hash": "f" * 64}, "painting/teacher.*content_hash: 'f{64}', was"),
        ({"truncation": 1.0}, {}, r"cache truncation: 1.0, was 0.5"),
        ({}, {"classes": (0, 1, 2)}, r"classes: \[0, 1, 2\], was \[0, 1, 2, 3, 4\]"),
        ({}, {"latent_dim": 7}, "latent_dim: 7, was 4"),
        ({}, {"num_classes": 6}, "num_classes: 6, was 5"),
        ({"batch_size": 2 * COUNT}, {}, f"with {COUNT} samples. Expected at least one batch"),
        (
            {"seed": 99, "sample_seed": COUNT - 1},
            {},
            f"and {COUNT} seeds from 0.*sample_seed={COUNT}",
        ),
    ],
)
def test_another_teachers_cache_is_refused_and_both_are_named(
    cache_config, settings, changes, message
):
    cache_config.update(settings)
    teacher = PaintingTeacher()
    classes = changes.pop("classes", None)
    for name, value in changes.items():
        setattr(teacher, name, value)
    with pytest.raises(ValueError, match=message):
        open_cache(cache_config, teacher, classes)
