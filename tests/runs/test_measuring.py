"""What is found in a run folder about how the run was measured."""

import json

import numpy as np
import pytest
from run_fixtures import IMAGE_SIZE, NUM_CLASSES, TINY_STUDENT, write_real_images

from tinygan_keras.data.image_sets import open_training_images
from tinygan_keras.generators.opening import open_generator
from tinygan_keras.networks.student import StudentGenerator
from tinygan_keras.runs import measuring
from tinygan_keras.runs.measuring import evaluation_settings, measured_images

CIFAR_LIKE = [f"kind {label}" for label in range(NUM_CLASSES)]


@pytest.fixture
def settings_of(tmp_path):
    """What is read from a run folder with this config, in a project folder, and its real images."""

    def read(config):
        run = tmp_path / "runs" / "mine"
        run.mkdir(parents=True, exist_ok=True)
        (run / "student.keras").write_text("")
        text = config if isinstance(config, str) else json.dumps(config)
        (run / "config.json").write_text(text)
        return {**evaluation_settings(run), "real": measured_images(run)}

    return read


@pytest.mark.parametrize(
    ("setting", "name", "key"),
    [
        ("data", "fashion_mnist", "real"),
        ("extractor", "inception", "extractor"),
        ("extractor", "keras_inception_v3", "extractor"),
        ("extractor", "https://host/module", "extractor"),
        ("teacher", "https://host/teacher", "teacher"),
    ],
)
def test_names_are_never_taken_for_folders(settings_of, tmp_path, setting, name, key):
    (tmp_path / name).mkdir(parents=True)
    (tmp_path / "runs" / name).mkdir(parents=True)
    assert settings_of({setting: name})[key] == name


def test_paths_of_a_run_are_found_from_elsewhere(settings_of, tmp_path, monkeypatch):
    for name in ("inception", "teacher"):
        (tmp_path / name).mkdir()
    config = {"extractor": "./inception", "teacher": "teacher"}
    config |= {"data": "fashion_mnist", "data_subset": "moved.npz"}
    found = settings_of({**config, "resize": "bicubic"})
    assert found["extractor"] == str(tmp_path / "inception")
    assert found["teacher"] == str(tmp_path / "teacher")
    assert (found["real"], found["resize"]) == ("moved.npz", "bicubic")
    monkeypatch.chdir(tmp_path)
    found = settings_of({**config, "resize": ""})
    assert found["extractor"] == "./inception" and "resize" not in found


@pytest.mark.parametrize("text", ["{", "[1]", '"runs"'])
def test_a_broken_config_of_a_run_is_named(settings_of, text):
    with pytest.raises(ValueError, match=r"config.json.*Expected"):
        settings_of(text)


@pytest.fixture
def run_of(tmp_path):
    """Writes the folder of a finished run with a student of 32 px and these settings."""

    def write(**config):
        run = tmp_path / "run"
        run.mkdir()
        StudentGenerator(**TINY_STUDENT, num_classes=NUM_CLASSES).save(run / "student.keras")
        (run / "class_names.txt").write_text("\n".join(CIFAR_LIKE) + "\n")
        config = {"evaluation_images": 6, "sample_seed": 3, "classes": "", **config}
        (run / "config.json").write_text(json.dumps(config))
        return run

    return write


def test_real_images_of_any_size_come_cropped_and_resized_and_of_the_classes_of_the_run(
    run_of, tmp_path
):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (40, 40, 40, 3), dtype="uint8")
    labels = np.arange(40) % NUM_CLASSES
    backwards = CIFAR_LIKE[::-1]  # the names decide, not the order
    np.savez(tmp_path / "real.npz", images=images, labels=labels, class_names=backwards)
    run = run_of(data=str(tmp_path / "real.npz"), classes="kind 2, kind 7")
    again = measured_images(run)
    arguments = (IMAGE_SIZE, NUM_CLASSES, (2, 7), CIFAR_LIKE)
    expected = open_training_images(tmp_path / "real.npz", *arguments).draw(6, seed=3)
    assert again.fingerprint == expected.fingerprint
    assert set(again.labels) == {2, 7}
    assert evaluation_settings(run)["classes"] == (2, 7)


def test_a_run_without_real_images_still_has_its_classes(run_of):
    run = run_of(data="none", classes="0-3")
    assert measured_images(run) is None
    assert evaluation_settings(run)["classes"] == (0, 1, 2, 3)


def test_what_is_no_run_has_neither(tmp_path):
    assert evaluation_settings(tmp_path) == {}
    assert measured_images(tmp_path) is None
    assert measured_images("https://host/teacher") is None


def test_a_student_that_is_open_is_not_read_again(run_of, tmp_path, monkeypatch):
    write_real_images(tmp_path / "real.npz")
    run = run_of(data=str(tmp_path / "real.npz"))
    student = open_generator(run)
    monkeypatch.setattr(measuring, "open_generator", None)
    assert measured_images(run, student).image_size == IMAGE_SIZE
