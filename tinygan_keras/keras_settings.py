"""Keras' settings for the whole process that the models can't work with, refused when these are imported.

Keras takes them from the environment and from keras.json when it is imported. Where it hasn't been imported
yet they are read from the same places, because Keras itself fails for a backend that isn't installed.
"""

import json
import os
import sys
from pathlib import Path

from .errors import InputError

_NEEDED = {
    "backend": ("tensorflow", "Set the environment variable KERAS_BACKEND=tensorflow."),
    "image_data_format": ("channels_last", "Change it in keras.json in the folder ~/.keras."),
    "floatx": (
        "float32",
        "Change it in keras.json in the folder ~/.keras; half precision is the argument dtype of a network.",
    ),
}


def check_keras_settings():
    """Raises InputError if Keras has, or will have, a setting that the models can't work with."""
    settings = _settings()
    for name, (needed, fix) in _NEEDED.items():
        if settings.get(name, needed) != needed:
            raise InputError(
                f"Got {name} {settings[name]!r} in the settings of Keras. Expected {needed!r}. {fix}"
            )


def _settings() -> dict:
    config = getattr(sys.modules.get("keras"), "config", None)
    if config:
        return {name: getattr(config, name)() for name in _NEEDED}
    folder = os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser()
    try:
        settings = json.loads(Path(folder, "keras.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        settings = {}  # as Keras itself reads it
    if "KERAS_BACKEND" in os.environ:
        settings["backend"] = os.environ["KERAS_BACKEND"]
    return settings
