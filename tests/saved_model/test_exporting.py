"""The exported folder: the images of the model in memory, its files, and nothing left of a failure."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras.errors import UnusableFileError
from tinygan_keras.generators.opening import open_generator
from tinygan_keras.networks.student import StudentGenerator
from tinygan_keras.saved_model import exporting, warm_up
from tinygan_keras.saved_model.exporting import export_saved_model
from tinygan_keras.saved_model.inference import row_by_row
from tinygan_keras.saved_model.signatures import distinct_names

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


def stored_floats(folder):
    checkpoint = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    types = checkpoint.get_variable_to_dtype_map()
    shapes = checkpoint.get_variable_to_shape_map()
    return sum(int(np.prod(shapes[name])) for name in types if types[name].is_floating)


def test_weights_are_stored_once(generator, exported, tmp_path):
    """As constants in the graph, which isn't much larger, or as variables."""
    values = 4 * generator.count_params()
    assert stored_floats(exported) == 0
    unchanged = export_saved_model(generator, tmp_path / "1", rewrite=False)
    assert stored_floats(unchanged) == generator.count_params()
    size = (exported / "saved_model.pb").stat().st_size
    assert values < size < values + (unchanged / "saved_model.pb").stat().st_size + 100_000


def test_number_of_parameters_can_be_read_from_the_model(generator, exported):
    trained = sum(int(np.prod(variable.shape)) for variable in generator.trainable_variables)
    assert [int(x) for x in tf.saved_model.load(exported).parameters] == [trained]


def test_existing_version_is_refused_and_left_alone(generator, tmp_path):
    version = tmp_path / "1"
    version.mkdir()
    (version / "kept.txt").write_text("published")

    with pytest.raises(FileExistsError, match="exists already"):
        export_saved_model(generator, version)

    assert (version / "kept.txt").read_text() == "published"


def test_a_full_disk_leaves_nothing_behind(generator, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise tf.errors.ResourceExhaustedError(
            None, None, "saved_model.pb; No space left on device"
        )

    monkeypatch.setattr(exporting, "_write_graph", fail)
    with pytest.raises(UnusableFileError, match="no space left.*choose another place"):
        export_saved_model(generator, tmp_path / "1")

    assert list(tmp_path.iterdir()) == []


def test_folder_is_as_readable_as_any_new_folder(exported):
    other = exported.parent / "other"
    other.mkdir()
    assert exported.stat().st_mode == other.stat().st_mode


def test_folder_far_from_its_run_knows_its_classes_and_truncation(
    generator, exported, tmp_path, inputs
):
    names = ("T-shirt/top", "Häschen", "dog")
    path = export_saved_model(
        generator, tmp_path / "2", class_names=names, truncation=np.float32(0)
    )

    opened = open_generator(path)

    assert (opened.format, opened.class_names, opened.truncation) == ("saved model", names, 0.0)
    assert (opened.num_classes, opened.weights, opened.teacher) == (NUM_CLASSES, None, None)
    assert sorted(set(entries(path)) - set(entries(exported))) == ["class_names.txt", "config.json"]
    assert json.loads((path / "config.json").read_text()) == {"truncation": 0.0}
    expected = generator((inputs[0], inputs[1].astype("int32")), training=False)
    np.testing.assert_allclose(opened.draw(*map(tf.constant, inputs)), expected, atol=1e-6)
    before = opened.content_hash
    (path / "class_names.txt").unlink()
    (path / "config.json").unlink()
    assert open_generator(path).content_hash == before


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
        ({"truncation": 1.5}, r"Got truncation=1\.5"),
        ({"truncation": "half"}, "Got truncation='half'"),
        ({"path": "gs://bucket/1"}, "Expected a folder on a disk"),
    ],
)
def test_classes_and_truncation_that_can_t_be_are_refused(generator, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        export_saved_model(generator, **{"path": tmp_path / "1", **arguments})
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
def test_any_model_that_is_called_alike_is_exported_as_it_is(is_built, tmp_path):
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


def test_a_version_with_other_images_is_not_left_behind(generator, tmp_path, monkeypatch):
    """What is loaded from the folder is compared, and not what was meant to be written."""

    def wrong(student):
        draw = row_by_row(student)
        return lambda z, label: draw(-z, label)

    monkeypatch.setattr(exporting, "row_by_row", wrong)
    with pytest.raises(ValueError, match=r"differ from the model's by up to .*rewrite=False"):
        export_saved_model(generator, tmp_path / "1")
    assert list(tmp_path.iterdir()) == []


def test_a_broken_version_is_not_left_behind(generator, tmp_path, monkeypatch):
    """A variable without its file, as on a disk that loses something."""
    write = exporting._write_graph

    def lossy(folder, *arguments):
        write(folder, *arguments)
        (folder / "variables" / "variables.index").unlink()

    monkeypatch.setattr(exporting, "_write_graph", lossy)
    with pytest.raises(ValueError, match="variables"):
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
def test_every_class_can_be_asked_for_by_a_name(given, known):
    assert distinct_names(given, 3) == known


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
