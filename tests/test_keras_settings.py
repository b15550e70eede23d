"""Settings of Keras for the whole process, before and after it is imported."""

import json
import sys

import keras
import pytest

from tinygan_keras.errors import InputError
from tinygan_keras.keras_settings import check_keras_settings

BAD = [("backend", "jax"), ("image_data_format", "channels_first"), ("floatx", "float16")]


@pytest.fixture
def before_keras(monkeypatch, tmp_path):
    """As in a process that hasn't imported Keras yet, whose keras.json is `tmp_path / "keras.json"`."""
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.delenv("KERAS_BACKEND")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path / "keras.json"


@pytest.mark.parametrize(("name", "value"), BAD)
def test_settings_that_keras_will_read_are_refused_by_name(before_keras, name, value):
    before_keras.write_text(json.dumps({"epsilon": 1e-7, name: value}))
    with pytest.raises(InputError, match=f"Got {name} '{value}'"):
        check_keras_settings()


def test_the_environment_goes_before_the_file(before_keras, monkeypatch):
    before_keras.write_text(json.dumps({"backend": "jax"}))
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    check_keras_settings()
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(InputError, match="Got backend 'torch'.*KERAS_BACKEND=tensorflow"):
        check_keras_settings()


@pytest.mark.parametrize("text", [None, "{"])
def test_a_file_that_keras_ignores_is_ignored(before_keras, text):
    if text is not None:
        before_keras.write_text(text)
    check_keras_settings()


@pytest.mark.parametrize(("name", "value"), BAD)
def test_settings_of_keras_are_refused_by_name(monkeypatch, name, value):
    check_keras_settings()
    monkeypatch.setattr(keras.config, name, lambda: value)
    with pytest.raises(InputError, match=f"Got {name} '{value}'"):
        check_keras_settings()
