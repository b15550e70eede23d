"""Where a run's teacher images come from, and which cache it refuses."""

from types import SimpleNamespace

import pytest
from cache_fixtures import COUNT, PaintingTeacher, make

from tinygan_keras.data.teacher_cache import TeacherCache
from tinygan_keras.data.teacher_samples import TeacherSamples
from tinygan_keras.runs.config import default_config
from tinygan_keras.runs.run_folder import Stopwatch
from tinygan_keras.runs.source import open_cache, open_source


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    make(folder)
    return folder


@pytest.fixture
def config(folder):
    config = default_config()
    config.update({"teacher": "painting/teacher", "teacher_cache": str(folder), "batch_size": 4})
    return config


def parts(classes=None, **changes):
    teacher = PaintingTeacher()
    for name, value in changes.items():
        setattr(teacher, name, value)
    return SimpleNamespace(teacher=teacher, classes=classes)


def test_a_cache_of_this_teacher_is_the_source(config):
    cache = open_cache(config, parts())
    assert isinstance(cache, TeacherCache)
    assert open_source(config, parts(), cache, Stopwatch()) is cache


def test_without_a_cache_samples_are_drawn_of_the_chosen_classes_or_the_teacher_is_asked(config):
    config.update({"teacher_cache": "", "teacher_samples": 6})
    assert open_cache(config, parts()) is None
    samples = open_source(config, parts(classes=(1, 3)), None, Stopwatch())
    assert isinstance(samples, TeacherSamples)
    assert samples.labels.tolist() == [1, 3, 1, 3, 1, 3]
    config.teacher_samples = 0
    live = parts()
    assert open_source(config, live, None, Stopwatch()) is live.teacher


@pytest.mark.parametrize(
    ("settings", "changes", "message"),
    [
        ({}, {"content_hash": "f" * 64}, "content hash .*painting/teacher.*Expected f{64}"),
        ({"truncation": 1.0}, {}, r"truncation 0.5.*Expected 1.0"),
        ({}, {"classes": (0, 1, 2)}, r"list of classes \(0, 1, 2, 3, 4\).*Expected \(0, 1, 2\)"),
        ({}, {"latent_dim": 7}, "latent length 4.*Expected 7"),
        ({}, {"num_classes": 6}, "number of classes 5.*Expected 6"),
        ({"batch_size": 2 * COUNT}, {}, f"with {COUNT} samples. Expected at least one batch"),
    ],
)
def test_another_teachers_cache_is_refused_and_both_are_named(config, settings, changes, message):
    config.update(settings)
    with pytest.raises(ValueError, match=message):
        open_cache(config, parts(**changes))
