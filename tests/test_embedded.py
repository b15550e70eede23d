"""What comes with the package is found by name, wherever a model or data is named."""

from pathlib import Path

import numpy as np
import pytest
from run_fixtures import TINY_STUDENT

from tinygan_keras.data.image_sets import open_images
from tinygan_keras.data.keras_sets import load_fashion_mnist_subset
from tinygan_keras.embedded import DEMO_CONFIG, EMBEDDED, MODELS, find
from tinygan_keras.evaluation.extractors.extractor import FeatureExtractor, load_extractor
from tinygan_keras.evaluation.results import compare, read_evaluation
from tinygan_keras.generators.opening import load_student, open_generator
from tinygan_keras.generators.side_files import teacher_here
from tinygan_keras.networks.discriminator import Discriminator
from tinygan_keras.networks.student import StudentGenerator
from tinygan_keras.runs.components import build_model
from tinygan_keras.runs.config import load_config, validate
from tinygan_keras.runs.measuring import evaluation_settings, measured_images
from tinygan_keras.teachers.hub import HubTeacher

STUDENT = "tinygan_fashion_32"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def same_weights(one, other):
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def test_the_names_are_the_folders_of_the_one_source(repository):
    folders = {path.name for path in (repository / "saved_models").iterdir() if path.is_dir()}
    assert {"biggan_fashion_32", "fashion_classifier", STUDENT} <= set(MODELS) == folders
    assert all(repository in path.parents and path.exists() for path in EMBEDDED.values())


def test_a_path_that_exists_comes_before_a_name(tmp_path):
    assert find(STUDENT) == EMBEDDED[STUDENT]
    assert find("nothing") == Path("nothing")
    assert find("https://tfhub.dev/a/1") == "https://tfhub.dev/a/1"
    assert find("~") == Path.home()
    (tmp_path / STUDENT).mkdir()
    assert find(STUDENT) == Path(STUDENT)
    with pytest.raises(FileNotFoundError, match=r"student\.keras"):
        open_generator(STUDENT)


def test_names_open_what_their_folders_open():
    generator = open_generator(STUDENT)
    by_path = open_generator(EMBEDDED[STUDENT])
    assert generator.content_hash == by_path.content_hash
    assert (generator.source, generator.teacher) == (STUDENT, "biggan_fashion_32")
    assert generator.class_names[7] == "Sneaker" and generator.truncation == 1.0
    assert teacher_here(generator) == "biggan_fashion_32"
    teacher = HubTeacher("biggan_fashion_32", truncation=1.0)
    assert (teacher.handle, teacher.num_classes) == ("biggan_fashion_32", 10)
    assert open_generator("biggan_fashion_32").class_names == generator.class_names
    for extractor in (load_extractor("fashion_classifier"), FeatureExtractor("fashion_classifier")):
        assert extractor.name == "fashion_classifier" and extractor.path.is_dir()
    assert load_fashion_mnist_subset().labels.shape == open_images("fashion_mnist_10k").labels.shape


@pytest.mark.parametrize(
    ("open_it", "wrong", "right"),
    [
        (open_generator, "tinygan_fashoin_32", STUDENT),
        (HubTeacher, "biggan_fashoin_32", "biggan_fashion_32"),
        (load_extractor, "fashion_clasifier", "fashion_classifier"),
    ],
)
def test_an_unknown_name_lists_the_names(open_it, wrong, right):
    with pytest.raises(FileNotFoundError) as error:
        open_it(wrong)
    assert all(name in str(error.value) for name in MODELS)
    assert str(error.value).endswith(f"Did you mean {right!r}?")


def test_figures_by_name_and_by_path_compare():
    settings = evaluation_settings(STUDENT)
    assert settings["extractor"] == "fashion_classifier" and measured_images(STUDENT)
    assert not {"out", "pictures"} & settings.keys()  # nothing is written into the package
    assert "out" in evaluation_settings(EMBEDDED[STUDENT])
    results = {"name": read_evaluation(STUDENT), "path": read_evaluation(EMBEDDED[STUDENT])}
    assert "frechet" in compare(results).lower()


def test_presets_carry_weights():
    trained = StudentGenerator.from_preset(STUDENT)
    assert same_weights(trained, load_student(STUDENT))
    mixed = StudentGenerator.from_preset(STUDENT, load_weights=True, dtype="mixed_bfloat16")
    assert mixed.compute_dtype == "bfloat16" and same_weights(trained, mixed)
    latents = np.zeros((2, 32), "float32"), np.array([1, 7])
    np.testing.assert_array_equal(trained(latents), load_student(STUDENT)(latents))


def test_what_only_decides_the_start_makes_no_other_network(tmp_path):
    trained = StudentGenerator.from_preset(STUDENT)
    other = StudentGenerator.from_preset(STUDENT, load_weights=True, start_at_identity=False)
    assert same_weights(trained, other)
    assert open_generator(trained).content_hash == open_generator(other).content_hash
    # As in every evaluation of these weights so far.
    evaluated = read_evaluation(STUDENT)["generator"]["content_hash"]
    assert open_generator(trained).content_hash == evaluated


def test_what_is_the_default_makes_no_other_network():
    same = {"latents": "dense", "pointwise_first": False}
    assert same_weights(StudentGenerator.from_preset(STUDENT, **same), load_student(STUDENT))


def test_a_student_in_this_folder_is_no_preset_s(tmp_path):
    (tmp_path / "student.keras").touch()
    assert not StudentGenerator.presets()["tinygan_128"]["weights"]
    assert StudentGenerator.from_preset("tinygan_32", channels=(4, 4, 4, 4)).image_size == 32


def test_presets_say_which_have_weights():
    listing = StudentGenerator.presets()
    with_weights = {name for name, preset in listing.items() if preset["weights"]}
    assert with_weights == set(listing) & set(MODELS)
    assert listing["tinygan_128"]["arguments"]["channels"] == (512, 512, 256, 128, 64, 32)
    assert not any(preset["weights"] for preset in Discriminator.presets().values())


@pytest.mark.parametrize(
    ("network", "name", "overrides", "reason"),
    [
        (StudentGenerator, "tinygan_32", {}, "'tinygan_32', for which"),
        (StudentGenerator, STUDENT, {"num_classes": 7}, "with another num_classes"),
        (Discriminator, STUDENT, {}, "Expected one of those that have them: none"),
    ],
)
def test_weights_that_are_not_there_are_an_error_that_says_where_to_get_them(
    network, name, overrides, reason
):
    with pytest.raises(ValueError, match=reason) as error:
        network.from_preset(name, load_weights=True, **overrides)
    for place in ("tinygan distill", "tinygan import", "hf://"):
        assert place in str(error.value)


def test_another_shape_or_no_weights_start_at_random_and_reproducibly():
    import keras

    def start(**arguments):
        keras.utils.set_random_seed(3)
        return StudentGenerator.from_preset(STUDENT, **arguments)

    trained = StudentGenerator.from_preset(STUDENT)
    untrained = start(load_weights=False)
    assert same_weights(untrained, start(load_weights=False))
    assert not same_weights(untrained, trained)
    assert start(**TINY_STUDENT).count_params() < trained.count_params() / 10
    same = start(channels=list(trained.channels), synchronized=True)
    assert same_weights(same, trained)


def test_a_run_starts_from_random_weights_the_same_each_time():
    config = validate(load_config(DEMO_CONFIG))
    assert config.student in MODELS
    first, second = build_model(config), build_model(config)
    assert same_weights(first.student, second.student)
    assert not same_weights(first.student, StudentGenerator.from_preset(STUDENT))
