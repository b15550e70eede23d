"""What is exported gives the images of the model in memory, and stores its weights once."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import tinygan_keras.saved_model.inference
from tinygan_keras.generators.opening import load_generator
from tinygan_keras.networks.student import StudentGenerator
from tinygan_keras.saved_model import warm_up
from tinygan_keras.saved_model.export import export_saved_model
from tinygan_keras.saved_model.inference import inference_graph
from tinygan_keras.saved_model.signatures import ClassNames, distinct_names

LATENT_DIM, NUM_CLASSES, IMAGE_SIZE = 6, 3, 8


def make_generator():
    return StudentGenerator(
        channels=(8, 4), latent_dim=LATENT_DIM, num_classes=NUM_CLASSES, embedding_dim=4
    )


@pytest.fixture(scope="module")
def generator():
    return make_generator()


@pytest.fixture(scope="module")
def exported(generator, tmp_path_factory):
    return export_saved_model(generator, tmp_path_factory.mktemp("saved_model") / "1")


@pytest.fixture
def inputs():
    rng = np.random.default_rng(0)
    return rng.normal(size=(5, LATENT_DIM)).astype("float32"), np.array([0, 1, 2, 1, 0], "int64")


def test_reloaded_signature_equals_the_model(generator, exported, inputs):
    latents, labels = inputs
    served = tf.saved_model.load(exported).signatures["serving_default"]

    images = served(z=tf.constant(latents), label=tf.constant(labels))["image"]

    expected = generator((latents, labels.astype("int32")), training=False)
    np.testing.assert_allclose(images, expected, atol=1e-6)
    assert images.dtype == tf.float32


def test_version_1_loader_reads_the_same_images(generator, exported, inputs):
    """This loader takes names and tensors from the signature alone, as serving programs do."""
    latents, labels = inputs
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        graph = tf.compat.v1.saved_model.load(session, ["serve"], str(exported))
        signature = graph.signature_def["serving_default"]
        feed = {signature.inputs["z"].name: latents, signature.inputs["label"].name: labels}
        images = session.run(signature.outputs["image"].name, feed)

    expected = generator((latents, labels.astype("int32")), training=False)
    np.testing.assert_allclose(images, expected, atol=1e-6)


def test_signature_names_types_and_shapes(exported):
    served = tf.saved_model.load(exported).signatures["serving_default"]

    _, inputs = served.structured_input_signature
    assert inputs["z"].dtype == tf.float32
    assert inputs["z"].shape.as_list() == [None, LATENT_DIM]
    assert inputs["label"].dtype == tf.int64
    assert inputs["label"].shape.as_list() == [None]
    assert list(served.structured_outputs) == ["image"]
    assert served.structured_outputs["image"].shape.as_list() == [None, IMAGE_SIZE, IMAGE_SIZE, 3]


def stored_floats(folder):
    checkpoint = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    types = checkpoint.get_variable_to_dtype_map()
    shapes = checkpoint.get_variable_to_shape_map()
    return sum(int(np.prod(shapes[name])) for name in types if types[name].is_floating)


def test_weights_are_stored_once(generator, exported, tmp_path):
    """The last convolution draws four pixels at once and has more of them; the rest is folded to fewer."""
    count = generator.count_params()
    last = generator.get_layer("to_rgb").kernel.shape[2]

    floats = stored_floats(exported)

    assert floats == sum(map(tf.size, inference_graph(generator).variables))
    assert floats < count + (4 * 4 * 12 - 3 * 3 * 3) * last + 12
    unchanged = export_saved_model(generator, tmp_path / "1", rewrite=False)
    assert stored_floats(unchanged) == count


def test_number_of_parameters_can_be_read_from_the_model(generator, exported):
    trained = sum(int(np.prod(variable.shape)) for variable in generator.trainable_variables)
    assert [int(x) for x in tf.saved_model.load(exported).parameters] == [trained]


@pytest.mark.parametrize("label", [-1, NUM_CLASSES])
def test_label_out_of_range_is_answered_with_the_range(exported, label):
    served = tf.saved_model.load(exported).signatures["serving_default"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="from 0 to 2"):
        served(z=tf.zeros((1, LATENT_DIM)), label=tf.constant([label], tf.int64))


def test_half_precision_generator_still_serves_float32(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    path = export_saved_model(make_generator(), tmp_path / "1")

    served = tf.saved_model.load(path).signatures["serving_default"]

    assert served.structured_outputs["image"].dtype == tf.float32


def test_existing_version_is_refused_and_left_alone(generator, tmp_path):
    version = tmp_path / "1"
    version.mkdir()
    (version / "kept.txt").write_text("published")

    with pytest.raises(FileExistsError, match="new version number"):
        export_saved_model(generator, version)

    assert (version / "kept.txt").read_text() == "published"


def test_failed_export_leaves_nothing_behind(generator, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(OSError, match="no space"):
        export_saved_model(generator, tmp_path / "1")

    assert list(tmp_path.iterdir()) == []


def test_folder_is_as_readable_as_any_new_folder(exported):
    other = exported.parent / "other"
    other.mkdir()
    assert exported.stat().st_mode == other.stat().st_mode


def test_folder_far_from_its_run_knows_its_classes_and_truncation(generator, tmp_path, inputs):
    names = ("T-shirt/top", "Häschen", "dog")
    plain = export_saved_model(generator, tmp_path / "1")
    path = export_saved_model(generator, tmp_path / "2", class_names=names, truncation=0.25)

    loaded = load_generator(path)

    assert (loaded.format, loaded.class_names, loaded.truncation) == ("saved model", names, 0.25)
    assert (loaded.num_classes, loaded.weights, loaded.teacher) == (NUM_CLASSES, None, None)
    assert sorted(set(entries(path)) - set(entries(plain))) == ["class_names.txt", "config.json"]
    assert json.loads((path / "config.json").read_text()) == {"truncation": 0.25}
    expected = generator((inputs[0], inputs[1].astype("int32")), training=False)
    np.testing.assert_allclose(loaded.draw(*map(tf.constant, inputs)), expected, atol=1e-6)
    before = loaded.content_hash
    (path / "class_names.txt").unlink()
    (path / "config.json").unlink()
    assert load_generator(path).content_hash == before


def test_each_of_the_two_can_be_given_alone(generator, tmp_path):
    named = load_generator(export_saved_model(generator, tmp_path / "1", class_names="abc"))
    truncated = load_generator(
        export_saved_model(generator, tmp_path / "2", truncation=np.float32(1))
    )
    assert (named.class_names, named.truncation) == (("a", "b", "c"), None)
    assert (truncated.class_names, truncated.truncation) == (None, 1.0)


def entries(folder):
    return [file.relative_to(folder).as_posix() for file in folder.rglob("*")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"class_names": ("cat", "dog")},
            "Got the class names .*Expected 3, a name of one line per",
        ),
        ({"class_names": ("cat", "dog", "a\nb")}, "one line"),
        ({"truncation": 0.0}, r"Got truncation=0\.0.*\(0, 1\]"),
        ({"truncation": 1.5}, r"Got truncation=1\.5"),
        ({"truncation": "0.5"}, "Got truncation='0.5'"),
    ],
)
def test_classes_and_truncation_that_can_t_be_are_refused(generator, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        export_saved_model(generator, tmp_path / "1", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_model_without_its_names_is_not_left_behind(generator, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OSError, match="no space"):
        export_saved_model(generator, tmp_path / "1", truncation=0.5)
    assert list(tmp_path.iterdir()) == []


class Painter(keras.Model):
    """A generator that isn't ours: of one colour, which class and latents decide."""

    latent_dim, num_classes, image_size = 2, 3, 4

    def __init__(self):
        super().__init__()
        self.colours = keras.layers.Embedding(3, 48)
        self.mixture = keras.layers.Dense(48, use_bias=False)

    def call(self, inputs, training=False):
        latents, labels = inputs
        pixels = keras.ops.tanh(self.mixture(latents) + self.colours(labels))
        return keras.ops.reshape(pixels, (-1, 4, 4, 3))


@pytest.mark.parametrize("is_built", [False, True])
def test_any_model_of_the_same_form_is_exported_as_it_is(is_built, tmp_path):
    painter = Painter()
    if is_built:
        painter((np.zeros((1, 2)), np.zeros(1, "int32")))
    folder = export_saved_model(painter, tmp_path / "1", class_names="abc")
    card = (folder / "model_card.md").read_text()
    assert "| parameters | 240 |" in card  # 3 * 48 + 2 * 48
    assert "| multiply-adds per image | 96 |" in card  # 2 * 48
    signatures = tf.saved_model.load(folder).signatures
    latents, labels = tf.random.normal((5, 2)), tf.constant([0, 1, 2, 1, 0], tf.int64)

    images = signatures["serving_default"](z=latents, label=labels)["image"]

    np.testing.assert_allclose(images, painter((latents, labels)), atol=1e-6)
    rows = {"seed": tf.range(5, dtype=tf.int64), "truncation": tf.fill([5], 0.5)}
    names = signatures["sample_uint8"](label=labels, **rows)["class_name"]
    assert list(names.numpy()) == [b"a", b"b", b"c", b"b", b"a"]
    assert stored_floats(folder) == painter.count_params() == 2 * 48 + 3 * 48


def test_rewriting_that_draws_other_images_is_refused(generator, tmp_path, monkeypatch):
    upsample = tinygan_keras.saved_model.inference.upsample
    monkeypatch.setattr(
        tinygan_keras.saved_model.inference, "upsample", lambda x, _: upsample(x, "nearest")
    )
    with pytest.raises(ArithmeticError, match=r"differ by up to .*rewrite=False"):
        export_saved_model(generator, tmp_path / "1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "known"),
    [
        (None, ["0", "1", "2"]),
        (("cat", " dog ", "T-shirt/top"), ["cat", " dog ", "T-shirt/top"]),
        (("crane", "dog", "crane"), ["crane (0)", "dog", "crane (2)"]),
        (("", "dog", "cat"), ["(0)", "dog", "cat"]),
        (("a", "a", "a (0)"), ["a (0)", "a (1)", "a (0) (2)"]),
    ],
    ids=["none", "distinct", "twice", "empty", "twice at second sight"],
)
def test_every_class_can_be_asked_for_by_a_name(tmp_path, given, known):
    names = distinct_names(given, 3)
    assert names == known
    (tmp_path / "names.txt").write_text("".join(f"{name}\n" for name in names))
    tables = ClassNames(tmp_path / "names.txt")
    assert tables.by_name.lookup(tf.constant([*names, "other"])).numpy().tolist() == [0, 1, 2, -1]
    assert [
        name.decode() for name in tables.by_label.lookup(tf.range(3, dtype=tf.int64)).numpy()
    ] == names


def test_without_servings_messages_the_export_says_how_to_warm_up(generator, tmp_path, monkeypatch):
    monkeypatch.setattr(warm_up, "can_write", lambda: False)
    with pytest.warns(
        UserWarning, match=r"pip install .tinygan-keras\[serving\]. and export again"
    ):
        folder = export_saved_model(generator, tmp_path / "1")
    assert not (folder / "assets.extra").exists()
    assert "without warm-up requests" in (folder / "model_card.md").read_text()


def test_object_that_is_no_generator_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"latent_dim, num_classes, image_size.*ema_student"):
        export_saved_model(keras.Sequential([keras.layers.Dense(1)]), tmp_path / "1")
