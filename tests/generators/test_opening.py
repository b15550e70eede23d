"""Generators from every form on disk: the same images, and what their files say about them."""

import hashlib
import json
import shutil
from pathlib import Path

import hub_fixtures
import keras
import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras.files import content_hash
from tinygan_keras.generators.generator import Generator
from tinygan_keras.generators.opening import load_student, open_generator
from tinygan_keras.generators.side_files import write_class_names
from tinygan_keras.networks.student import StudentGenerator
from tinygan_keras.saved_model.exporting import export_saved_model
from tinygan_keras.teachers.hub import HubTeacher

NAMES = ("cat", "dog", "T-shirt/top")
CONFIG = {"truncation": 0.25, "ema_decay": 0.998, "teacher": "teachers/mine"}


@pytest.fixture(scope="module")
def student():
    student = StudentGenerator(channels=(8, 4), latent_dim=6, num_classes=3, embedding_dim=4)
    for number, variable in enumerate(student.trainable_variables):
        variable.assign(np.random.default_rng(number).normal(size=variable.shape) / 2)
    return student


@pytest.fixture(scope="module")
def run(student, tmp_path_factory):
    """A run folder, as far as it is read here, in a folder with files of something else."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    folder.mkdir()
    student.save(folder / "student.keras")
    student.save(folder / "last.keras")
    export_saved_model(student, folder / "saved_model" / "1")
    (folder / "class_names.txt").write_text("\n".join(NAMES) + "\n")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder.parent / "config.json").write_text('{"truncation": 0.9}')
    (folder.parent / "class_names.txt").write_text("something\nelse\n")
    return folder


@pytest.fixture(scope="module")
def teacher_folder(tmp_path_factory):
    return hub_fixtures.write_tf2_module(tmp_path_factory.mktemp("teachers") / "tiny")


def latents_and_labels():
    rng = np.random.default_rng(0)
    return rng.normal(size=(5, 6)).astype("float32"), np.array([0, 1, 2, 1, 0], "int32")


@pytest.mark.parametrize(
    ("place", "format"),
    [
        ("", "run folder"),
        ("student.keras", "keras file"),
        ("saved_model/1", "saved model"),
    ],
)
def test_every_form_draws_the_same_images_and_knows_its_run(student, run, place, format):
    generator = open_generator(run / place)
    latents, labels = latents_and_labels()
    images = generator.draw(tf.constant(latents), tf.constant(labels))
    np.testing.assert_allclose(images, student((latents, labels)), atol=1e-5)
    assert generator.format == format
    assert generator.source == str(run / place)
    assert (generator.latent_dim, generator.num_classes, generator.image_size) == (6, 3, 8)
    assert generator.class_names == NAMES
    assert generator.truncation == 0.25
    assert generator.weights == "exponential moving average"
    assert generator.teacher == "teachers/mine"
    trainable = sum(int(np.prod(v.shape)) for v in student.trainable_variables)
    assert generator.parameters == trainable


def test_truncation_given_comes_before_that_of_the_run(run):
    assert open_generator(run, truncation=0.7).truncation == 0.7
    assert open_generator(run, truncation=0.0).truncation == 0.0
    with pytest.raises(
        ValueError, match=r"Got truncation=1.5; .*mine expects a number in \[0, 1\]"
    ):
        open_generator(run, truncation=1.5)


def test_files_of_a_folder_that_is_no_run_are_not_taken_for_it(run, tmp_path):
    folder = run.parent / "alone"
    folder.mkdir()
    shutil.copy(run / "student.keras", folder)
    alone = open_generator(folder)
    known = (alone.class_names, alone.truncation, alone.weights, alone.teacher)
    assert known == (None, None, None, None)
    shutil.copytree(run / "saved_model", folder / "deeper" / "saved_model")
    (folder / "student.keras").unlink()
    exported = open_generator(folder / "deeper" / "saved_model" / "1")
    assert (exported.class_names, exported.num_classes) == (None, None)


def test_other_files_of_a_run_may_hold_other_weights(run):
    generator = open_generator(run / "last.keras")
    assert generator.weights is None
    assert generator.truncation == 0.25


def test_run_without_averaging_says_so(run, tmp_path):
    shutil.copy(run / "student.keras", tmp_path)
    (tmp_path / "config.json").write_text('{"ema_decay": 0}')
    assert open_generator(tmp_path).weights == "last step"


def test_hash_is_that_of_weights_and_config_not_of_the_file(student, run, tmp_path):
    again = StudentGenerator.from_config({**student.get_config(), "name": "another_name"})
    again.set_weights(student.get_weights())
    again.save(tmp_path / "again.keras")
    assert (tmp_path / "again.keras").read_bytes() != (run / "student.keras").read_bytes()
    expected = open_generator(run).content_hash
    assert len(expected) == 64 and int(expected, 16)
    assert open_generator(tmp_path / "again.keras").content_hash == expected
    weights = student.get_weights()
    weights[-1] = weights[-1] + np.float32(1e-6)
    again.set_weights(weights)
    assert open_generator(again).content_hash != expected


def test_saved_model_has_the_hash_of_its_files(run, tmp_path):
    shutil.copytree(run / "saved_model" / "1", tmp_path / "copy")
    (tmp_path / "copy" / "class_names.txt").write_text("\n".join(NAMES))
    original = open_generator(run / "saved_model" / "1")
    copy = open_generator(tmp_path / "copy")
    assert copy.content_hash == original.content_hash != open_generator(run).content_hash
    assert copy.num_classes == 3


def test_description_can_t_be_changed(run):
    with pytest.raises(AttributeError):
        open_generator(run).truncation = 1.0


# Mixing classes


def test_one_hot_weights_give_the_image_of_the_class(run):
    generator = open_generator(run)
    latents, labels = latents_and_labels()
    mixed = generator.mix(latents, np.eye(3, dtype="float32")[labels])
    np.testing.assert_allclose(mixed, generator.draw(latents, labels), atol=1e-6)


def test_mixing_checks_the_values_that_its_graph_can_t(run):
    generator = open_generator(run)
    weights = np.full((5, 3), np.nan, "float32")
    with pytest.raises(ValueError, match="Got the class weight nan in row 0 for class 0"):
        generator.mix(latents_and_labels()[0], weights)


def test_exported_model_can_t_mix(run):
    assert open_generator(run / "saved_model" / "1").mix is None


# Teachers


def test_teacher_folder_is_drawn_through_hub_teacher(teacher_folder):
    generator = open_generator(teacher_folder)
    teacher = HubTeacher(teacher_folder, 0.5)
    latents, labels = hub_fixtures.latents_and_labels()
    np.testing.assert_array_equal(generator.draw(latents, labels), teacher(latents, labels))
    weights = np.eye(12, dtype="float32")[labels]
    np.testing.assert_allclose(generator.mix(latents, weights), teacher(latents, labels), atol=1e-6)
    assert (generator.format, generator.truncation, generator.weights) == ("teacher", 0.5, None)
    assert generator.content_hash == teacher.content_hash
    assert generator.parameters == hub_fixtures.PARAMETERS
    assert (generator.latent_dim, generator.num_classes, generator.image_size) == (8, 12, 16)


def test_teacher_draws_at_the_truncation_of_its_config_or_the_one_given(teacher_folder, tmp_path):
    folder = Path(shutil.copytree(teacher_folder, tmp_path / "teacher"))
    (folder / "config.json").write_text('{"truncation": 1.0}')
    (folder / "class_names.txt").write_text("\n".join(f"class {n}" for n in range(12)))
    latents, labels = hub_fixtures.latents_and_labels()
    own, given = open_generator(folder), open_generator(HubTeacher(folder, truncation=0.5))
    assert (own.truncation, given.truncation) == (1.0, 0.5)
    assert own.class_names[11] == given.class_names[11] == "class 11"
    assert own.content_hash == open_generator(teacher_folder).content_hash
    assert np.abs(own.draw(latents, labels) - given.draw(latents, labels)).max() > 0.01


def test_handle_goes_through_tensorflow_hub_s_cache(teacher_folder, tmp_path, monkeypatch):
    handle = "https://tfhub.dev/someone/tiny/1"
    place = tmp_path / hashlib.sha1(handle.encode()).hexdigest()
    shutil.copytree(teacher_folder, place)
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    generator = open_generator(handle, truncation=0.75)
    assert (generator.source, generator.format, generator.truncation) == (handle, "teacher", 0.75)
    assert open_generator(handle).truncation == 0.5


def test_embedded_teacher_knows_its_classes_and_truncation(repository):
    folder = repository / "saved_models" / "biggan_fashion_32"
    generator = open_generator(folder)
    assert generator.truncation == 1.0
    assert generator.class_names[9] == "Ankle boot"


# In memory


def test_model_in_memory_is_a_generator(student):
    generator = open_generator(student)
    latents, labels = latents_and_labels()
    np.testing.assert_allclose(
        generator.draw(latents, labels), student((latents, labels)), atol=1e-6
    )
    assert (generator.format, generator.image_size) == ("keras model", 8)
    assert isinstance(generator, Generator) and open_generator(generator) is generator
    assert open_generator(generator, truncation=0.0).truncation == 0.0


def test_weights_in_bfloat16_have_a_hash():
    weights = np.asarray(tf.ones((2, 3), tf.bfloat16))
    assert content_hash(weights) != content_hash(2 * weights)


@pytest.mark.parametrize(
    "model", [keras.Sequential([keras.layers.Dense(1)]), lambda latents, labels: latents, None]
)
def test_what_is_no_generator_is_refused(model):
    with pytest.raises(ValueError, match="in memory, of type .*Expected a Keras model with latent"):
        open_generator(model)


# Bad input


def test_missing_path_gets_the_forms_and_a_guess(tmp_path):
    with pytest.raises(FileNotFoundError, match="doesn't exist. Expected a run folder with"):
        open_generator(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="Did you mean .*biggan-deep-128/1"):
        open_generator("biggan-deep-128/1")


def test_folder_without_a_generator_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="Expected a run folder with student.keras"):
        open_generator(tmp_path)


def test_keras_file_of_another_model_is_refused(tmp_path):
    inputs = keras.Input((3,))
    keras.Model(inputs, keras.layers.Dense(2)(inputs)).save(tmp_path / "dense.keras")
    with pytest.raises(ValueError, match=r"dense\.keras, of type Functional\. Expected a Keras"):
        open_generator(tmp_path / "dense.keras")


def test_saved_model_of_another_kind_is_refused(repository):
    with pytest.raises(
        ValueError,
        match=r"serving_default takes \['images'\].*Expected serving_default\(z, label\)",
    ):
        open_generator(repository / "saved_models" / "fashion_classifier")


def test_broken_saved_model_is_refused(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\xff\xfe no protocol buffer")
    with pytest.raises(
        ValueError, match=r"which can't be read: Cannot parse file .*saved_model\.pb"
    ):
        open_generator(tmp_path)


def test_incomplete_copies_are_refused(run, tmp_path):
    (tmp_path / "student.keras").write_bytes((run / "student.keras").read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"student\.keras, which isn't a whole archive"):
        open_generator(tmp_path)
    copy = Path(shutil.copytree(run / "saved_model" / "1", tmp_path / "1"))
    for file in copy.rglob("*"):
        if file.is_file() and file.name != "saved_model.pb":
            file.unlink()
    with pytest.raises(ValueError, match="student .*1, but TensorFlow can't read the SavedModel"):
        open_generator(copy)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{truncation", r"config\.json, which can't be read.*Expected JSON"),
        ("[1]", r"config\.json with a list"),
        ('{"truncation": "half"}', "Got truncation='half'"),
        ('{"truncation": -1}', "Got truncation=-1"),
    ],
)
def test_broken_config_is_refused(run, tmp_path, text, message):
    shutil.copy(run / "student.keras", tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        open_generator(tmp_path)


def test_class_names_are_utf_8_with_or_without_a_byte_order_mark(run, tmp_path):
    shutil.copy(run / "student.keras", tmp_path)
    names = ("Mantel", "Stiefel für Käfer", "靴")
    write_class_names(tmp_path, names)
    assert open_generator(tmp_path).class_names == names
    file = tmp_path / "class_names.txt"
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(names).encode())  # as Notepad saves it
    assert open_generator(tmp_path).class_names == names
    file.write_bytes("Mantel für\n".encode("latin-1") * 3)
    with pytest.raises(ValueError, match=r"class_names\.txt, whose byte 8 isn't UTF-8"):
        open_generator(tmp_path)


def test_a_path_may_begin_with_the_home_folder(run, monkeypatch):
    monkeypatch.setenv("HOME", str(run.parent))
    assert open_generator("~/mine").class_names == NAMES
    assert load_student("~/mine").num_classes == 3


def test_class_names_have_to_be_one_per_class(run, tmp_path):
    shutil.copy(run / "student.keras", tmp_path)
    (tmp_path / "class_names.txt").write_text("cat\ndog\n")
    with pytest.raises(ValueError, match=r"Got 2 names in the class_names\.txt.*Expected 3"):
        open_generator(tmp_path)
