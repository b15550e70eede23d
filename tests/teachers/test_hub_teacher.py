"""The teacher: what it draws, where it can be called, what it refuses, and what it stays out of."""

import gc
import hashlib
import re
import shutil
import urllib.error
from pathlib import Path

import hub_fixtures
import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub
from hub_fixtures import IMAGE_SIZE, LATENT_DIM, NUM_CLASSES

from tinygan_keras.generators import cost
from tinygan_keras.teachers import catalog, download
from tinygan_keras.teachers.hub import HubTeacher

TRUNCATION = 0.5
DEEP_128 = "https://tfhub.dev/deepmind/biggan-deep-128/1"
PURE_MODULES = ("stateless", "stateful", "tf2")
ALL_MODULES = (*PURE_MODULES, "branching")
LATENTS, LABELS = hub_fixtures.latents_and_labels()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of the four modules; all of them draw the same images once warm."""
    root = tmp_path_factory.mktemp("modules")
    designs = ("stateless", "stateful", "branching")
    folders = {name: hub_fixtures.write_tf1_module(root / name, name) for name in designs}
    return {**folders, "tf2": hub_fixtures.write_tf2_module(root / "tf2")}


@pytest.fixture(scope="module")
def teachers(folders):
    return {name: HubTeacher(folders[name], TRUNCATION) for name in ALL_MODULES}


@pytest.fixture(scope="module")
def raw_module(folders):
    """The module without state, loaded by TensorFlow Hub alone."""
    return tensorflow_hub.load(folders["stateless"])


@pytest.fixture(scope="module")
def expected(raw_module):
    return call_raw(raw_module)


@pytest.fixture(scope="module")
def strategy():
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def call_raw(module, truncation=TRUNCATION):
    outputs = module.signatures["default"](
        z=tf.constant(LATENTS),
        y=tf.one_hot(LABELS, NUM_CLASSES),
        truncation=tf.constant(truncation),
    )
    return outputs["default"].numpy()


# What it draws


def test_stateful_fixture_has_the_first_call_trap(folders, expected):
    module = tensorflow_hub.load(folders["stateful"])
    first, second = call_raw(module), call_raw(module)
    assert np.abs(first - expected).max() > 0.1
    np.testing.assert_allclose(second, expected, atol=2e-6)
    call_raw(module, truncation=1.0)
    assert np.abs(call_raw(module) - expected).max() > 0.1


@pytest.mark.parametrize(
    ("name", "pure"),
    [*((name, "auto") for name in ALL_MODULES), ("stateful", False), ("tf2", False)],
)
def test_first_call_draws_what_the_warm_module_draws(folders, expected, name, pure):
    teacher = HubTeacher(folders[name], TRUNCATION, pure=pure)
    images = teacher(LATENTS, LABELS)
    assert images.dtype == tf.float32
    np.testing.assert_allclose(images, expected, atol=2e-6)


@pytest.mark.parametrize("name", ["stateful", "tf2"])
def test_truncation_selects_the_statistics(folders, raw_module, expected, name):
    images = HubTeacher(folders[name], truncation=1.0)(LATENTS, LABELS)
    np.testing.assert_allclose(images, call_raw(raw_module, 1.0), atol=2e-6)
    assert np.abs(images - expected).max() > 0.1


def test_label_selects_the_class(teachers):
    same_latents = np.repeat(LATENTS[:1], 2, axis=0)
    images = teachers["tf2"](same_latents, [0, 1]).numpy()
    assert np.abs(images[0] - images[1]).max() > 1e-2


@pytest.mark.parametrize("dtype", ["int64", "uint8", "int32"])
def test_labels_of_every_integer_type_are_taken(teachers, expected, dtype):
    images = teachers["tf2"](LATENTS.astype("float64"), LABELS.astype(dtype))
    np.testing.assert_allclose(images, expected, atol=2e-6)


def test_attributes_come_from_the_module(teachers):
    for teacher in teachers.values():
        assert teacher.latent_dim == LATENT_DIM
        assert teacher.num_classes == NUM_CLASSES
        assert teacher.image_size == IMAGE_SIZE
        assert teacher.truncation == TRUNCATION


@pytest.mark.parametrize("name", ALL_MODULES)
def test_parameters_are_counted_once_and_without_state(teachers, name):
    assert teachers[name].parameters == hub_fixtures.PARAMETERS


def test_multiply_adds_are_those_of_the_raw_module(folders, teachers):
    specs = tf.TensorSpec((1, LATENT_DIM)), tf.TensorSpec((1,), tf.int32)
    raw = cost.multiply_adds(HubTeacher(folders["tf2"], TRUNCATION, pure=False), *specs)
    assert raw > 0
    assert {cost.multiply_adds(teachers[name], *specs) for name in PURE_MODULES} == {raw}


@pytest.mark.parametrize("name", ALL_MODULES)
def test_class_embedding_is_the_table_that_the_labels_meet(teachers, name):
    expected = (hub_fixtures.NUM_CLASSES, hub_fixtures.EMBEDDING_DIM)
    assert teachers[name].class_embedding.shape == expected
    np.testing.assert_array_equal(teachers[name].class_embedding, teachers["tf2"].class_embedding)


def test_truncation_is_fixed(teachers):
    with pytest.raises(AttributeError):
        teachers["tf2"].truncation = 1.0


def test_repr_tells_what_it_is(teachers, folders):
    text = repr(teachers["tf2"])
    for part in (folders["tf2"], "truncation=0.5", "12 classes", "16x16x3", "2,226 param", "pure"):
        assert part in text
    assert "not pure" in repr(teachers["branching"])


# Between classes


@pytest.mark.parametrize("name", ALL_MODULES)
def test_one_hot_weights_give_the_image_of_the_class(teachers, expected, name):
    weights = np.eye(NUM_CLASSES, dtype="float32")[LABELS]
    np.testing.assert_allclose(teachers[name].mix(LATENTS, weights), expected, atol=2e-6)
    in_graph = tf.function(lambda z, y: teachers[name].mix(z, y))
    np.testing.assert_allclose(in_graph(LATENTS, weights), expected, atol=2e-6)


@pytest.mark.parametrize("name", ["stateful", "tf2"])
def test_mixture_is_what_the_raw_module_draws_for_these_weights(raw_module, teachers, name):
    weights = np.random.default_rng(0).dirichlet(np.ones(NUM_CLASSES), len(LABELS))
    raw = raw_module.signatures["default"](
        z=tf.constant(LATENTS),
        y=tf.constant(weights, tf.float32),
        truncation=tf.constant(TRUNCATION),
    )
    mixed = teachers[name].mix(LATENTS, weights)
    np.testing.assert_allclose(mixed, raw["default"], atol=2e-6)
    assert np.abs(mixed - teachers[name](LATENTS, LABELS)).max() > 1e-2


@pytest.mark.parametrize(
    ("latents", "weights", "message"),
    [
        (
            LATENTS,
            np.ones((4, 10)),
            r"class weights float64 \(4, 10\)\. Expected float \[4, 12\]",
        ),
        (LATENTS, LABELS, r"Got class weights int32 \(4,\).*tf\.one_hot"),
        (
            LATENTS,
            np.ones((1, 12)),
            r"float64 \(1, 12\)\. Expected float \[4, 12\], a row per latent",
        ),
        (LATENTS, np.full((4, 12), np.nan), "Got the class weight nan in row 0 for class 0"),
        (LATENTS[:, :5], np.ones((4, 12)), r"Got latents float32 \(4, 5\)"),
    ],
)
def test_wrong_mixtures_are_refused(teachers, latents, weights, message):
    with pytest.raises(ValueError, match=message):
        teachers["tf2"].mix(latents, weights)


# Where it can be called


def test_modules_without_branches_are_pure(teachers):
    assert [name for name in ALL_MODULES if teachers[name].is_pure] == list(PURE_MODULES)


def test_pure_is_refused_where_it_is_impossible(folders):
    with pytest.raises(ValueError, match=r"Got pure=True, but .*depends on Merge, Switch.*auto"):
        HubTeacher(folders["branching"], pure=True)


def test_graph_that_draws_otherwise_is_not_used(folders, expected, monkeypatch):
    monkeypatch.setattr(
        "tinygan_keras.teachers.module_graph.OutputGraph.__call__",
        lambda graph, **inputs: tf.zeros([tf.shape(inputs["z"])[0], IMAGE_SIZE, IMAGE_SIZE, 3]),
    )
    teacher = HubTeacher(folders["tf2"], TRUNCATION)
    assert not teacher.is_pure
    np.testing.assert_allclose(teacher(LATENTS, LABELS), expected, atol=2e-6)
    with pytest.raises(ValueError, match="images then differ by"):
        HubTeacher(folders["tf2"], TRUNCATION, pure=True)


def test_other_outputs_are_ignored(tmp_path):
    def generate(z, y, truncation):
        images = tf.zeros([tf.shape(z)[0], IMAGE_SIZE, IMAGE_SIZE, 3]) + 0.25
        return {"a_first_output": z, "default": images, "last_output": y}

    teacher = HubTeacher(hub_fixtures.write_tf2_module(tmp_path / "module", generate), pure=True)
    np.testing.assert_array_equal(teacher(LATENTS, LABELS), np.full((4, 16, 16, 3), 0.25))


def test_module_that_writes_inside_a_function_is_not_pure(tmp_path):
    counter = tf.Variable(0.0, trainable=False)

    def generate(z, y, truncation):
        counter.assign_add(1.0)
        images = tf.zeros([tf.shape(z)[0], IMAGE_SIZE, IMAGE_SIZE, 3]) + 0.0 * counter
        return {"default": images}

    folder = hub_fixtures.write_tf2_module(tmp_path / "counts", generate, counter)
    with pytest.raises(ValueError, match="AssignAddVariableOp"):
        HubTeacher(folder, pure=True)
    assert not HubTeacher(folder).is_pure


@pytest.mark.parametrize("name", ALL_MODULES)
def test_graph_call_equals_eager_call(teachers, expected, name):
    function = tf.function(lambda z, y: (teachers[name](z, y), teachers[name](z, y)))
    for images in function(LATENTS, LABELS):
        assert images.shape == (len(LABELS), IMAGE_SIZE, IMAGE_SIZE, 3)
        np.testing.assert_allclose(images, expected, atol=2e-6)


@pytest.mark.parametrize("name", [pytest.param("stateful", marks=pytest.mark.full), "tf2"])
def test_teacher_outlives_the_loaded_module(folders, expected, name):
    teacher = HubTeacher(folders[name], TRUNCATION)
    gc.collect()
    images = tf.function(teacher.__call__)(LATENTS, LABELS)
    np.testing.assert_allclose(images, expected, atol=2e-6)


def test_pure_teacher_compiles_with_xla(teachers, expected):
    function = tf.function(teachers["stateful"].__call__, jit_compile=True)
    np.testing.assert_allclose(function(LATENTS, LABELS), expected, atol=2e-6)


@pytest.mark.parametrize("name", ["stateful", "tf2", "branching"])
def test_replicas_draw_the_same_images(teachers, expected, strategy, name):
    @tf.function
    def step(latents, labels):
        return strategy.run(teachers[name], (latents, labels))

    for images in strategy.experimental_local_results(step(LATENTS, LABELS)):
        np.testing.assert_allclose(images, expected, atol=2e-6)


def test_replicas_read_variables_on_their_own_device(folders, expected, strategy):
    with strategy.scope():
        teacher = HubTeacher(folders["tf2"], TRUNCATION)
    compiled = tf.function(teacher.__call__, jit_compile=True)

    def replica_step(latents, labels):
        # On CPU, `run` of a compiled function puts all replicas into one XLA program; a call within
        # the replica compiles for its device alone, and such a program reads only what lies there.
        return compiled(latents, labels)

    @tf.function
    def step(latents, labels):
        return strategy.run(replica_step, (latents, labels))

    for images in strategy.experimental_local_results(step(LATENTS, LABELS)):
        np.testing.assert_allclose(images, expected, atol=2e-6)
    copies = teacher._generate._copies
    assert [device[-5:] for device in copies] == ["CPU:1"]  # the first replica has the originals


def test_replicas_of_an_eager_run_draw_the_same_images(teachers, expected, strategy):
    images = strategy.run(teachers["tf2"], (tf.constant(LATENTS), tf.constant(LABELS)))
    for image in strategy.experimental_local_results(images):
        np.testing.assert_allclose(image, expected, atol=2e-6)


def test_call_works_where_functions_run_eagerly(teachers, expected):
    tf.config.run_functions_eagerly(True)
    try:
        images = tf.function(teachers["stateful"].__call__)(LATENTS, LABELS)
    finally:
        tf.config.run_functions_eagerly(False)
    np.testing.assert_allclose(images, expected, atol=2e-6)


def test_call_works_inside_a_data_set(teachers, expected):
    dataset = tf.data.Dataset.from_tensors((LATENTS, LABELS)).map(teachers["stateful"])
    np.testing.assert_allclose(next(iter(dataset)), expected, atol=2e-6)


class Copyist(keras.Model):
    """Learns to draw the teacher's mean colour; just enough of a student for `fit`."""

    def __init__(self, teacher):
        super().__init__()
        self.colour = self.add_weight(name="colour", shape=(3,), initializer="zeros")
        object.__setattr__(self, "teacher", teacher)
        self.built = True

    def train_step(self, batch):
        latents, labels = batch
        images = self.teacher(latents, labels)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(images - self.colour)) / self.replicas
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}

    @property
    def replicas(self):
        return tf.distribute.get_strategy().num_replicas_in_sync


def fit(teacher, **compile_arguments):
    model = Copyist(teacher)
    model.compile(keras.optimizers.SGD(0.5), **compile_arguments)
    batches = tf.data.Dataset.from_tensors((LATENTS, LABELS)).repeat(3)
    model.fit(batches, shuffle=False, verbose=0)
    return model


@pytest.mark.parametrize(
    ("name", "compile_arguments"),
    [
        ("stateful", {}),
        pytest.param("tf2", {"jit_compile": True}, marks=pytest.mark.full),
        ("branching", {}),
        pytest.param("stateful", {"jit_compile": True}, marks=pytest.mark.full),
        pytest.param("stateful", {"run_eagerly": True}, marks=pytest.mark.full),
    ],
)
def test_fit_works_with_a_live_teacher(teachers, expected, name, compile_arguments):
    model = fit(teachers[name], **compile_arguments)
    mean_colour = expected.mean(axis=(0, 1, 2))
    shrunk = 1 - (1 - 0.5 * 2 / 3) ** 3  # gradient descent on a parabola
    np.testing.assert_allclose(model.colour, shrunk * mean_colour, atol=1e-5)


@pytest.mark.parametrize("name", ["stateful", pytest.param("tf2", marks=pytest.mark.full)])
def test_fit_works_under_mirrored_strategy(teachers, expected, strategy, name):
    with strategy.scope():
        model = fit(teachers[name])
    assert np.all(np.isfinite(model.colour)) and np.abs(model.colour).max() > 1e-3


# What it stays out of


def test_checkpoints_never_hold_the_teacher(teachers, tmp_path):
    model = fit(teachers["tf2"])
    model.save_weights(tmp_path / "model.weights.h5")
    prefix = tf.train.Checkpoint(model=model).save(str(tmp_path / "checkpoint"))
    saved = {name for name, _ in tf.train.list_variables(prefix)}
    assert any("colour" in name or "_trainable_variables" in name for name in saved)
    assert not any("teacher" in name or "linear" in name for name in saved)
    assert len(model.weights) == 1
    assert (tmp_path / "model.weights.h5").stat().st_size < 50_000


def test_plain_attribute_is_not_tracked_either(teachers):
    model = keras.Sequential()
    model.teacher = teachers["stateful"]
    holder = tf.Module()
    holder.teacher = teachers["stateful"]
    assert model.variables == [] and holder.variables == ()


@pytest.mark.parametrize("name", ["stateful", "tf2", "branching"])
def test_no_gradient_flows_through_the_teacher(teachers, name):
    latents = tf.Variable(LATENTS)

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(teachers[name](latents, LABELS) + tf.reduce_sum(latents))
        return tape.gradient(loss, latents)

    through_sum_alone = len(LABELS) * IMAGE_SIZE**2 * 3
    np.testing.assert_array_equal(gradient(), np.full_like(LATENTS, through_sum_alone))
    with tf.GradientTape() as tape:
        images = teachers[name](latents, LABELS)
    assert tape.gradient(images, latents) is None


def test_calls_do_not_change_the_teacher(teachers, expected):
    for name in ALL_MODULES:
        teachers[name](LATENTS[:1], LABELS[:1])
        np.testing.assert_allclose(teachers[name](LATENTS, LABELS), expected, atol=2e-6)


# What it refuses in a call


@pytest.mark.parametrize("eagerly", [True, False])
@pytest.mark.parametrize(
    ("latents", "labels", "message"),
    [
        (LATENTS[:, :5], LABELS, r"Got latents float32 \(4, 5\).*float \[batch, 8\]"),
        (LATENTS[0], LABELS, r"Got latents float32 \(8,\).*float \[batch, 8\]"),
        (LABELS[:, None] * np.ones(8, "int32"), LABELS, r"Got latents int32 \(4, 8\)"),
        (LATENTS, LABELS[:2], r"Got labels int\d+ \(2,\) for 4 latents"),
        (LATENTS, LATENTS[:, 0], r"Got labels float32 \(4,\) for 4 latents; expected int"),
        (LATENTS, np.eye(4, 12, dtype="int32"), r"Got labels int32 \(4, 12\).*argmax"),
    ],
)
def test_wrong_shapes_and_types_are_refused(teachers, latents, labels, message, eagerly):
    teacher = teachers["tf2"]
    call = teacher if eagerly else tf.function(lambda z, y: teacher(z, y))
    with pytest.raises(ValueError, match=f"(?s){message}"):
        call(latents, labels)


@pytest.mark.parametrize("label", [-1, NUM_CLASSES])
def test_label_out_of_range_is_refused(teachers, label):
    labels = np.array([0, label, 1, 2])
    with pytest.raises(ValueError, match=rf"Got the label {label};.*in \[0, 11\]"):
        teachers["stateful"](LATENTS, labels)


# What it refuses at the door


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder, URL or name.*biggan_fashion_32"):
        HubTeacher(tmp_path / "nothing")


def test_short_name_of_a_handle_gets_the_whole_one():
    with pytest.raises(FileNotFoundError, match=f"Did you mean {DEEP_128}"):
        HubTeacher("biggan-deep-128/1")


def test_folder_without_saved_model_is_refused(tmp_path):
    (tmp_path / "1").mkdir()
    with pytest.raises(ValueError, match=r"holds \['1'\], and no saved_model\.pb"):
        HubTeacher(tmp_path)


def test_incomplete_copy_is_refused(folders, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(folders["stateless"], folder)
    shutil.rmtree(folder / "variables")
    with pytest.raises(ValueError, match="probably incomplete"):
        HubTeacher(folder)


@pytest.mark.parametrize("format_", ["tf1", "tf2"])
def test_other_signature_is_refused(tmp_path, format_):
    write = getattr(hub_fixtures, f"write_{format_}_module")
    folder = write(tmp_path / format_, signature="serve")
    with pytest.raises(ValueError, match=r"Got the signatures \['serve'\].*Expected.*`default`"):
        HubTeacher(folder)


def test_module_without_signature_is_refused(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path))
    with pytest.raises(ValueError, match=r"Got the signatures \[\]"):
        HubTeacher(tmp_path)


def test_other_output_name_is_refused(tmp_path):
    folder = hub_fixtures.write_tf1_module(tmp_path / "module", output="images")
    with pytest.raises(ValueError, match=r"the outputs \['images'\]"):
        HubTeacher(folder)


def spec(*shape, dtype=tf.float32, name=None):
    return tf.TensorSpec(shape, dtype, name)


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (
            {"truncation": None},
            r"Got the inputs {'y': 'float32 \(None, 12\)', 'z': 'float32 \(None, 8\)'}",
        ),
        (
            {"noise": spec(None, 2, name="noise")},
            r"Got the inputs {'noise': 'float32 \(None, 2\)', 'trunc",
        ),
        ({"truncation": spec(None, name="truncation")}, r"'truncation': 'float32 \(None,\)'"),
        ({"y": spec(None, dtype=tf.int32, name="y")}, r"'y': 'int32 \(None,\)'"),
        ({"z": spec(None, 2, 4, name="z")}, r"'z': 'float32 \(None, 2, 4\)'"),
        ({"z": spec(3, 8, name="z")}, r"'z': 'float32 \(3, 8\)'"),
        ({"z": spec(None, None, name="z")}, r"'z': 'float32 \(None, None\)'"),
    ],
)
def test_other_inputs_are_refused(tmp_path, specs, message):
    def generate(z, y, **others):
        return {"default": tf.zeros([2, 4, 4, 3])}

    folder = hub_fixtures.write_tf2_module(tmp_path / "module", generate, specs=specs)
    with pytest.raises(ValueError, match=f"{message}.*Expected a signature `default`"):
        HubTeacher(folder)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (lambda n: tf.zeros([n, 8, 16, 3]), r"Got images float32 \(2, 8, 16, 3\)"),
        (lambda n: tf.zeros([n, 8, 8, 1]), r"Got images float32 \(2, 8, 8, 1\)"),
        (lambda n: tf.zeros([n, 8, 8]), r"Got images float32 \(2, 8, 8\)"),
        (lambda n: tf.zeros([n, 8, 8, 3], tf.uint8), r"Got images uint8 \(2, 8, 8, 3\)"),
        (lambda n: tf.fill([n, 8, 8, 3], 255.0), r"values from 255 to 255.*x / 127\.5 - 1"),
        (lambda n: tf.fill([n, 8, 8, 3], np.nan), r"values from nan to nan"),
    ],
)
def test_other_images_are_refused(tmp_path, images, message):
    def generate(z, y, truncation):
        return {"default": images(tf.shape(z)[0])}

    folder = hub_fixtures.write_tf2_module(tmp_path / "module", generate)
    with pytest.raises(ValueError, match=message):
        HubTeacher(folder)


def test_unknown_purity_is_refused(folders):
    with pytest.raises(ValueError, match="Got pure='yes'"):
        HubTeacher(folders["tf2"], pure="yes")


def test_truncation_is_checked_before_anything_is_loaded(folders):
    with pytest.raises(ValueError, match=r"Got truncation=3"):
        HubTeacher(folders["tf2"], truncation=3)


# Handles and downloads


def test_misspelt_handle_is_refused_without_a_download(monkeypatch):
    monkeypatch.setattr(tensorflow_hub, "resolve", lambda handle: pytest.fail("a download"))
    with pytest.raises(ValueError, match=f"Did you mean {DEEP_128}"):
        HubTeacher("https://tfhub.dev/deepmind/biggan-dep-128/1")


@pytest.mark.parametrize(
    "error",
    [
        urllib.error.HTTPError(DEEP_128, 403, "Forbidden", None, None),
        urllib.error.HTTPError(DEEP_128, 404, "Not Found", None, None),
        urllib.error.URLError("timed out"),
        OSError("no space left on device"),
        EOFError("compressed file ended early"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_failed_download_says_what_to_do(monkeypatch, tmp_path, error):
    def fail(handle):
        raise error

    monkeypatch.setattr(tensorflow_hub, "resolve", fail)
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    with pytest.raises(OSError) as caught:
        HubTeacher(DEEP_128)
    place = tmp_path / hashlib.sha1(DEEP_128.encode()).hexdigest()
    for part in (DEEP_128, str(error), "tfhub.dev", "kaggle.com", "TFHUB_CACHE_DIR", str(place)):
        assert part in str(caught.value)
    assert caught.value.__cause__ is error


def test_stalled_connection_is_given_up(monkeypatch):
    import socket

    seen = []
    monkeypatch.setattr(
        tensorflow_hub, "resolve", lambda handle: seen.append(socket.getdefaulttimeout()) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        HubTeacher(DEEP_128)
    assert seen == [download.STALL_SECONDS]
    assert socket.getdefaulttimeout() is None


@pytest.fixture
def offline_cache(monkeypatch, tmp_path, folders):
    """A cache into which the fixture was placed by hand, under a handle of DeepMind's."""

    def no_network(*args, **kwargs):
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr("urllib.request.OpenerDirector.open", no_network)
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    folder = tmp_path / hashlib.sha1(DEEP_128.encode()).hexdigest()
    shutil.copytree(folders["stateful"], folder)
    return folder


def test_copy_placed_by_hand_is_used_offline(monkeypatch, offline_cache, expected):
    entry = catalog.DEEPMIND[DEEP_128]
    entry = entry._replace(latent_dim=8, image_size=16, num_classes=12)
    monkeypatch.setitem(catalog.DEEPMIND, DEEP_128, entry)
    teacher = HubTeacher(DEEP_128, TRUNCATION)
    assert teacher.handle == DEEP_128
    assert Path(teacher.folder) == offline_cache
    np.testing.assert_allclose(teacher(LATENTS, LABELS), expected, atol=2e-6)


def test_module_that_is_not_the_catalogued_one_is_refused(offline_cache):
    with pytest.raises(ValueError, match=r"(?s)'image_size': 16.*has .*'image_size': 128"):
        HubTeacher(DEEP_128)


def test_handle_without_a_copy_fails_clearly_offline(offline_cache):
    with pytest.raises(OSError, match="(?s)no network in tests.*To place a copy by hand"):
        HubTeacher("https://tfhub.dev/deepmind/biggan-128/2")


def test_emptied_copy_is_to_be_deleted(offline_cache):
    for file in offline_cache.glob("saved_model.*"):
        file.unlink()
    with pytest.raises(
        ValueError, match=f"its folder {re.escape(str(offline_cache))} holds.*delete the folder"
    ):
        HubTeacher(DEEP_128)


def test_only_modules_of_tf1_need_tensorflow_hub(monkeypatch, folders, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "tensorflow_hub", None)
    HubTeacher(folders["tf2"])
    module = shutil.copytree(folders["tf2"], tmp_path / "module")
    (module / "tfhub_module.pb").touch()
    with pytest.raises(ImportError, match=re.escape('"setuptools<81"')):
        HubTeacher(module)


# Identity


def test_content_hash_names_the_function_and_not_its_place(teachers, folders, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folders["stateful"], copy)
    (copy / "README.md").write_text("a model card")
    (copy / "fingerprint.pb").write_text("written again at every export")
    teacher = HubTeacher(copy, TRUNCATION)
    assert re.fullmatch("[0-9a-f]{64}", teacher.content_hash)
    assert teacher.content_hash == teachers["stateful"].content_hash
    assert teacher.content_hash != teachers["stateless"].content_hash


def test_content_hash_changes_with_the_variables(folders, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(folders["stateless"], folder)
    before = download.module_hash(str(folder))
    data = next((folder / "variables").glob("*.data*"))
    changed = bytearray(data.read_bytes())
    changed[-1] ^= 1
    data.write_bytes(changed)
    assert download.module_hash(str(folder)) != before
