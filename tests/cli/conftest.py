"""A run folder as far as other commands than distill read it."""

import json

import keras
import pytest
from run_fixtures import TINY_STUDENT

from tinygan_keras.data.keras_sets import FASHION_MNIST_NAMES
from tinygan_keras.networks.student import StudentGenerator


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """What a run leaves, as far as the other commands read it."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("run")
    student = StudentGenerator.from_preset("tinygan_fashion_32", **TINY_STUDENT)
    student.save(folder / "student.keras")
    (folder / "class_names.txt").write_text("\n".join(FASHION_MNIST_NAMES))
    (folder / "config.json").write_text(json.dumps({"truncation": 0.25}))
    return folder
