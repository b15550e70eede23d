"""From a name to a feature extractor: folders, handles, the two Inception networks, and what is refused."""

import hashlib
import shutil
import urllib.error
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from extractor_fixtures import inception_outputs, write_colour_classifier, write_inception

from tinygan_keras.evaluation.extractors import classifiers, keras_inception
from tinygan_keras.evaluation.extractors.extractor import (
    INCEPTION_HANDLE,
    NAMES,
    FeatureExtractor,
    load_extractor,
)
from tinygan_keras.images import to_float

FORMS = ("callable", "tf1")
OTHER_HANDLE = "https://tfhub.dev/somebody/classifier/1"


@pytest.fixture(scope="module")
def inceptions(tmp_path_factory):
    root = tmp_path_factory.mktemp("inceptions")
    return {form: write_inception(root / form, form) for form in FORMS}


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty cache of TensorFlow Hub, and no network. `cache(handle, folder)` places a copy by hand."""

    def no_network(*args, **kwargs):
        raise urllib.error.URLError("no network in tests")

    def place(handle, folder):
        target = tmp_path / hashlib.sha1(handle.encode()).hexdigest()
        shutil.copytree(folder, target)
        return target

    monkeypatch.setattr("urllib.request.OpenerDirector.open", no_network)
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    return place


def sample(count, size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), "uint8")


# TF-GAN's Inception


@pytest.mark.parametrize("form", FORMS)
def test_inception_is_found_under_its_handle(inceptions, cache, form):
    folder = cache(INCEPTION_HANDLE, inceptions[form])
    extractor = load_extractor("inception", batch_size=2)
    assert (extractor.input_size, extractor.feature_dim, extractor.num_classes) == (299, 2048, 1008)
    assert extractor.path == folder
    images = sample(3, 299)
    for values, expected in zip(
        extractor(images), inception_outputs(to_float(images)), strict=True
    ):
        assert values.dtype == np.float32
        assert values == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_small_images_reach_inception_as_in_tf_gans_examples(inceptions, cache, form):
    cache(INCEPTION_HANDLE, inceptions[form])
    extractor = load_extractor("inception", batch_size=2)
    images = sample(3, 32)
    enlarged = tf.image.resize(to_float(images), (299, 299), tf.image.ResizeMethod.BILINEAR)
    features, _ = extractor(images)
    assert features == pytest.approx(inception_outputs(enlarged)[0], abs=1e-4)
    assert extractor.protocol(32) == {
        "extractor": "inception",
        "extractor_hash": extractor.hash,
        "feature_dim": 2048,
        "input_size": 299,
        "range": "[-1, 1], rounded to uint8",
        "resize": "bilinear, antialias False, to 299",
    }


def test_another_kernel_can_be_chosen_for_inception(inceptions, cache):
    cache(INCEPTION_HANDLE, inceptions["callable"])
    extractor = load_extractor("inception", resize="area", batch_size=2)
    assert extractor.protocol(32)["resize"] == "area, antialias False, to 299"
    images = sample(2, 32)
    enlarged = tf.image.resize(to_float(images), (299, 299), tf.image.ResizeMethod.AREA)
    assert extractor(images)[0] == pytest.approx(inception_outputs(enlarged)[0], abs=1e-4)


def test_the_handle_is_the_same_extractor(inceptions, cache):
    cache(INCEPTION_HANDLE, inceptions["tf1"])
    by_name, by_handle = load_extractor("inception"), load_extractor(INCEPTION_HANDLE)
    assert by_name.protocol(32) == by_handle.protocol(32)
    by_folder = load_extractor(inceptions["tf1"], resize="bilinear")
    assert by_folder.hash == by_name.hash


def test_inception_without_a_copy_fails_clearly_offline(cache, tmp_path):
    with pytest.raises(OSError) as caught:
        load_extractor("inception")
    place = tmp_path / hashlib.sha1(INCEPTION_HANDLE.encode()).hexdigest()
    for part in (
        INCEPTION_HANDLE,
        "no network in tests",
        "kaggle.com",
        str(place),
        "fashion_classifier",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["inception", INCEPTION_HANDLE, "keras_inception_v3"])
def test_another_size_for_inception_is_refused_without_a_download(name, cache):
    with pytest.raises(ValueError, match="Got input_size=128 .*Expected None or 299"):
        load_extractor(name, input_size=128)


def test_unknown_kernel_is_refused_without_a_download(cache):
    with pytest.raises(ValueError, match="Did you mean 'bilinear'"):
        load_extractor("inception", resize="bilinera")


# Folders and other handles


def test_folder_is_loaded_with_its_own_name(tmp_path):
    folder = write_colour_classifier(tmp_path / "colours", 4)
    extractor = load_extractor(str(folder))
    assert extractor.name == "colours"
    assert extractor.resize is None
    images = sample(5, 4)
    assert extractor(images)[0][:, :3] == pytest.approx(to_float(images).mean((1, 2)), abs=1e-6)


def test_embedded_classifier_is_a_folder_as_any_other(repository):
    folder = repository / "saved_models/fashion_classifier"
    extractor = load_extractor(folder)
    assert extractor.hash == FeatureExtractor(folder).hash


def test_handle_is_loaded_with_the_handle_as_its_name(tmp_path, cache):
    cache(OTHER_HANDLE, write_colour_classifier(tmp_path / "colours", 4))
    extractor = load_extractor(OTHER_HANDLE)
    assert extractor.protocol()["extractor"] == OTHER_HANDLE
    with pytest.raises(ValueError, match="Got images of 8x8 pixels"):
        extractor(sample(2, 8))
    assert load_extractor(OTHER_HANDLE, resize="area")(sample(2, 8))[0].shape == (2, 4)


def test_handle_without_a_copy_fails_clearly_offline(cache):
    with pytest.raises(OSError, match="(?s)no network in tests.*To place a copy by hand"):
        load_extractor(OTHER_HANDLE)


def test_handle_like_a_teachers_is_not_taken_for_a_misspelt_one(cache):
    with pytest.raises(OSError, match="no network in tests"):
        load_extractor("https://tfhub.dev/deepmind/biggan-dep-128/1")


def test_handle_whose_copy_holds_no_model_is_refused(tmp_path, cache):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "README.md").write_text("a word")
    cache(OTHER_HANDLE, tmp_path / "empty")
    with pytest.raises(ValueError, match="Got the feature extractor .*no saved_model.pb"):
        load_extractor(OTHER_HANDLE)


@pytest.mark.parametrize(("size", "batch_size"), [(64, 250), (65, 50)])
def test_batches_of_large_images_are_smaller(tmp_path, size, batch_size):
    folder = write_colour_classifier(tmp_path / "colours", size)
    assert load_extractor(folder).batch_size == batch_size
    assert load_extractor(folder, batch_size=7).batch_size == 7


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere/at/all", "is no name, no URL and no folder.*inception, keras_inception_v3"),
        ("incepton", "Did you mean 'inception'"),
        ("keras_inception", "Did you mean 'keras_inception_v3'"),
    ],
)
def test_unknown_name_is_refused(name, message):
    with pytest.raises(FileNotFoundError, match=message):
        load_extractor(name)


def test_missing_folder_names_the_script_that_writes_one(tmp_path):
    for load in (FeatureExtractor, load_extractor):
        with pytest.raises(FileNotFoundError, match=r"train_classifier\.py"):
            load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"train_classifier\.py"):
        FeatureExtractor(tmp_path / "nowhere")


# What a SavedModel may look like


@pytest.mark.parametrize("signature", ["serving_default", "default"])
def test_both_names_of_a_signature_are_taken(tmp_path, signature):
    folder = write_colour_classifier(tmp_path / "colours", 4, signature=signature)
    assert FeatureExtractor(folder).feature_dim == 4


def test_tf_gans_output_names_are_taken(tmp_path):
    names = {"features": "pool_3", "logits": "logits"}
    extractor = FeatureExtractor(write_colour_classifier(tmp_path / "colours", 4, names=names))
    features, logits = extractor(sample(2, 4))
    assert logits == pytest.approx(3 * features)


def test_features_win_over_pool_3(tmp_path):
    names = {"features": "features", "logits": "logits"}
    folder = write_colour_classifier(tmp_path / "colours", 4, names=names)
    module = tf.saved_model.load(str(folder))
    result = module.signatures["serving_default"](images=tf.ones((1, 4, 4, 3)))
    both = {**result, "pool_3": tf.zeros((1, 9))}
    features, _ = classifiers._features_and_logits(lambda images: both)(tf.ones((1, 4, 4, 3)))
    assert features.shape == (1, 4)


@pytest.mark.parametrize("form", ["signature", "callable"])
def test_every_size_is_taken_where_one_is_chosen(tmp_path, inceptions, form):
    folder = inceptions["callable"]
    if form == "signature":
        folder = write_colour_classifier(tmp_path / "colours", None)
    with pytest.raises(ValueError, match="images of a fixed size.*input_size"):
        FeatureExtractor(folder)
    for size in (6, 9):
        extractor = FeatureExtractor(folder, input_size=size)
        assert extractor.input_size == size
        assert len(extractor(sample(3, size))[0]) == 3
    assert load_extractor(folder, input_size=6).input_size == 6


def test_size_that_the_module_does_not_take_is_refused(tmp_path):
    folder = write_colour_classifier(tmp_path / "colours", 4)
    assert FeatureExtractor(folder, input_size=4).input_size == 4
    with pytest.raises(ValueError, match=r"takes .*\(None, 4, 4, 3\).*input_size is 8"):
        FeatureExtractor(folder, input_size=8)


def test_another_signature_is_refused(tmp_path):
    folder = write_colour_classifier(tmp_path / "other", 4, signature="classify")
    with pytest.raises(ValueError, match=r"has the signatures \['classify'\] and can't be called"):
        FeatureExtractor(folder)


@pytest.mark.parametrize("output", ["features", "logits"])
def test_missing_output_is_refused(tmp_path, output):
    folder = write_colour_classifier(tmp_path / "one", 4, names={output: output})
    with pytest.raises(
        ValueError, match=rf"returns \{{'{output}': \(2, 4\)\}}\. Expected .*'logits'"
    ):
        FeatureExtractor(folder)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"dtype": tf.uint8}, r"'images': 'uint8 \(None, 4, 4, 3\)'"),
        ({"batch": 2}, r"'images': 'float32 \(2, 4, 4, 3\)'"),
    ],
)
def test_other_inputs_are_refused(tmp_path, arguments, found):
    folder = write_colour_classifier(tmp_path / "other", 4, **arguments)
    with pytest.raises(
        ValueError, match=rf"signature 'serving_default' takes \{{{found}.*Expected one"
    ):
        FeatureExtractor(folder)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (
            lambda n: {"features": tf.ones((n, 2, 2, 5)), "logits": tf.ones((n, 3))},
            "features .2, 2, 2, 5",
        ),
        (
            lambda n: {"features": tf.ones((n, 5)), "logits": tf.ones((1, 3))},
            r"logits \(1, 3\) for 2",
        ),
        (lambda n: {"features": tf.ones(n), "logits": tf.ones((n, 3))}, r"features \(2,\) for 2"),
        (lambda n: (tf.ones((n, 5)), tf.ones((n, 3))), "returns tuple"),
    ],
)
def test_outputs_that_are_no_rows_are_refused(outputs, message):
    classify = classifiers._features_and_logits(lambda images: outputs(len(images)))
    with pytest.raises(ValueError, match=message):
        classify(tf.zeros((2, 4, 4, 3)))


def test_half_precision_outputs_become_float32():
    def call(images):
        return {"pool_3": tf.ones((2, 1, 1, 5), tf.float16), "logits": tf.ones((2, 3), tf.float64)}

    features, logits = classifiers._features_and_logits(call)(tf.zeros((2, 4, 4, 3)))
    assert (features.dtype, logits.dtype) == (tf.float32, tf.float32)
    assert features.shape == (2, 5)


def test_damaged_folder_is_refused(tmp_path):
    folder = write_colour_classifier(tmp_path / "colours", 4)
    shutil.rmtree(folder / "variables")
    with pytest.raises(
        ValueError, match="(?s)Got the feature extractor colours.*probably incomplete"
    ):
        FeatureExtractor(folder)


def test_extractor_loaded_under_a_strategy_works(tmp_path):
    folder = write_colour_classifier(tmp_path / "colours", 4)
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        extractor = load_extractor(folder)
        assert extractor(sample(3, 4))[1].shape == (3, 4)


def test_hash_follows_what_determines_the_outputs(tmp_path):
    folder = write_colour_classifier(tmp_path / "colours", 4)
    before = FeatureExtractor(folder).hash
    assert len(before) == 64
    (folder / "model_card.md").write_text("a word")
    copy = tmp_path / "elsewhere"
    shutil.copytree(folder, copy)
    assert FeatureExtractor(copy).hash == before

    (copy / "assets").mkdir(exist_ok=True)
    (copy / "assets" / "classes.txt").write_text("cat")
    assert FeatureExtractor(copy).hash != before


# Keras' Inception v3


@pytest.fixture(scope="module")
def random_inception():
    return keras_inception.load_keras_inception_v3(weights=None)


@pytest.mark.full
def test_keras_inception_pools_features_and_keeps_logits(random_inception, monkeypatch):
    monkeypatch.setattr(keras_inception, "load_keras_inception_v3", lambda: random_inception)
    extractor = load_extractor("keras_inception_v3", batch_size=2)
    assert (extractor.input_size, extractor.feature_dim, extractor.num_classes) == (299, 2048, 1000)
    assert extractor.protocol(64)["extractor"] == "keras_inception_v3"
    assert extractor.protocol(64)["resize"] == "bilinear, antialias False, to 299"
    features, logits = extractor(sample(2, 64))
    dense = random_inception.owner.get_layer("predictions")
    assert features.min() >= 0  # after a ReLU
    kernel, bias = (keras.ops.convert_to_numpy(weight) for weight in dense.weights)
    assert logits == pytest.approx(features @ kernel + bias, abs=1e-4)


def test_keras_inception_is_hashed_by_its_weights(monkeypatch):
    tiny = [keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)]) for _ in range(2)]
    tiny[1].set_weights(tiny[0].get_weights())
    assert tiny[0].weights[0].path != tiny[1].weights[0].path
    assert keras_inception._hash(tiny[0]) == keras_inception._hash(tiny[1])
    tiny[1].layers[0].bias.assign([0, 1e-6, 0])
    assert keras_inception._hash(tiny[0]) != keras_inception._hash(tiny[1])


def test_keras_inception_keeps_full_precision(monkeypatch):
    built = []

    def build(weights, classifier_activation):
        assert (weights, classifier_activation) == ("imagenet", None)
        images = keras.Input((4, 4, 3))
        pool = keras.layers.GlobalAveragePooling2D(name="avg_pool")(images)
        logits = keras.layers.Dense(5, name="predictions")(pool)
        built.append(keras.Model(images, logits))
        return built[0]

    monkeypatch.setattr(keras.applications, "InceptionV3", build)
    keras.config.set_dtype_policy("mixed_float16")
    loaded = keras_inception.outside(keras_inception._build, "imagenet")
    assert keras.config.dtype_policy().name == "mixed_float16"
    images = np.random.default_rng(0).uniform(size=(2, 4, 4, 3)).astype("float32")
    expected = images.mean((1, 2)) @ built[0].get_layer("predictions").kernel.numpy()
    np.testing.assert_allclose(np.asarray(loaded(images)["logits"]), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(
            urllib.error.HTTPError("u", 403, "Forbidden", None, None),
            "403 -- Forbidden",
            marks=pytest.mark.full,
        ),
        (urllib.error.URLError("no route"), "no route"),
        pytest.param(TimeoutError("timed out"), "timed out", marks=pytest.mark.full),
    ],
    ids=["refused", "unreachable", "stalled"],
)
def test_failed_download_of_keras_weights_says_what_to_do(monkeypatch, tmp_path, error, reason):
    seen = []

    def fail(origin, target, *args):
        seen.append((origin, Path(target)))
        raise error

    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", fail)
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(OSError) as caught:
        load_extractor("keras_inception_v3")
    # What the message names is where Keras itself looks.
    ((origin, target),) = seen
    assert target == tmp_path / "models" / keras_inception.WEIGHTS_FILE
    for part in (reason, origin, f"put it into {target.parent}", target.name, "KERAS_HOME"):
        assert part in str(caught.value)


@pytest.mark.network
@pytest.mark.parametrize("name", NAMES)
def test_real_weights_are_downloaded_and_look_at_images(name):
    extractor = load_extractor(name, batch_size=2)
    assert (extractor.input_size, extractor.feature_dim) == (299, 2048)
    features, logits = extractor(sample(2, 64))
    assert np.isfinite(features).all() and np.isfinite(logits).all()
    assert np.abs(features[0] - features[1]).max() > 0
