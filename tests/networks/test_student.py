"""The student generator: the paper's size, the family of presets, and what it computes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras.generators.cost import multiply_adds
from tinygan_keras.networks.discriminator import Discriminator
from tinygan_keras.networks.student import StudentGenerator

TINY = {"channels": (8, 6, 4), "latent_dim": 5, "num_classes": 3, "embedding_dim": 4}


def count(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


def inputs(student, batch=4):
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(batch, student.latent_dim)).astype("float32")
    return latents, rng.integers(0, student.num_classes, batch)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_the_paper_s_student_has_3_070_659_parameters_and_its_multiply_adds(dtype):
    student = StudentGenerator.from_preset("tinygan_128", dtype=dtype)
    assert count(student) == 3_070_659
    assert student.image_size == 128
    cost = multiply_adds(student, (tf.TensorSpec((1, 128)), tf.TensorSpec((1,), tf.int32)))
    # The paper's student convolves the shortcut after the upsampling: four times the positions.
    widths = zip((512, 512, 256, 128, 64), (512, 256, 128, 64, 32), (4, 8, 16, 32, 64), strict=True)
    shortcuts = sum(wide * narrow * side**2 for wide, narrow, side in widths)
    assert cost + 3 * shortcuts == pytest.approx(428e6, rel=0.005)
    assert cost == pytest.approx(0.74 * 428e6, rel=0.005)


def cost_of(student):
    """Millions of parameters and of multiply-adds."""
    specs = tf.TensorSpec((1, student.latent_dim)), tf.TensorSpec((1,), tf.int32)
    return count(student) / 1e6, multiply_adds(student, specs) / 1e6


# At 128 px: a sixteenth of biggan-deep-128, and about the multiply-adds that the paper's own has.
@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("tinygan_v2_32", (1.26, 58)),
        ("tinygan_v2_64", (3.07, 340)),
        ("tinygan_v2_128", (3.07, 440)),
        ("tinygan_v2_256", (3.09, 520)),
        ("tinygan_v2_fashion_32", (1.251426 / 16, 158.07 / 16)),
    ],
)
def test_our_presets_stay_within_their_budgets(name, limits):
    cost = cost_of(StudentGenerator.from_preset(name, load_weights=False))
    for value, limit in zip(cost, limits, strict=True):
        assert 0.8 * limit < value <= limit
    paper = StudentGenerator.from_preset(name.replace("_v2", ""), load_weights=False)
    assert cost[0] <= 1.003 * count(paper) / 1e6


# Millions of parameters and of multiply-adds of the embedded teachers.
@pytest.mark.parametrize(
    ("family", "teacher"), [("fashion", (1.251426, 158.07)), ("cifar10", (1.354212, 158.77))]
)
@pytest.mark.parametrize(
    ("part", "suffix"), [(8, "8th"), (32, "32nd"), (64, "64th"), (128, "128th")]
)
def test_smaller_presets_are_the_part_of_the_teacher_that_they_say(family, teacher, part, suffix):
    name = f"tinygan_v2_{family}_32_{suffix}"
    parameters, operations = cost_of(StudentGenerator.from_preset(name, load_weights=False))
    assert 0.9 * teacher[0] / part < parameters <= teacher[0] / part
    assert 0.7 * teacher[1] / part < operations <= teacher[1] / part


@pytest.mark.parametrize("family", ["tinygan", "tinygan_v2"])
@pytest.mark.parametrize("size", [32, 64, 256])
def test_presets_are_one_family(family, size):
    student = StudentGenerator.from_preset(f"{family}_{size}")
    assert student.image_size == size
    assert student.output_shape == (None, size, size, 3)
    assert (student.latent_dim, student.num_classes) == (128, 1000)


def test_images_are_in_range_and_depend_on_latent_and_label():
    student = StudentGenerator(**TINY)
    latents, labels = inputs(student)
    # As trained: at the start the class embedding and the affine maps are nearly silent.
    for variable in student.trainable_variables:
        variable.assign(np.random.default_rng(1).normal(size=variable.shape))
    images = np.array(student((latents, labels)))
    assert images.shape == (4, 16, 16, 3) and images.dtype == np.float32
    assert np.abs(images).max() <= 1
    assert not np.allclose(images, student((latents, (labels + 1) % 3)))
    assert not np.allclose(images, student((latents + 1, labels)))


def test_the_shortcut_may_come_before_the_upsampling():
    """A 1x1 convolution commutes with bilinear upsampling, which is why ours is the cheaper way."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2, 4, 4, 5)).astype("float32")
    shortcut = keras.layers.Conv2D(3, 1, bias_initializer="ones")
    up = keras.layers.UpSampling2D(interpolation="bilinear")
    np.testing.assert_allclose(shortcut(up(features)), up(shortcut(features)), atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_keras_file_and_weights_round_trip(tmp_path, dtype):
    student = StudentGenerator(**TINY, dtype=dtype)
    student(inputs(student), training=True)
    expected = np.array(student(inputs(student)))
    student.save(tmp_path / "student.keras")
    loaded = keras.saving.load_model(tmp_path / "student.keras")
    assert loaded.get_config() == student.get_config()
    assert loaded.compute_dtype == loaded.get_layer("projection").compute_dtype
    assert loaded.compute_dtype == dtype.removeprefix("mixed_")
    np.testing.assert_array_equal(np.array(loaded(inputs(student))), expected)
    student.save_weights(tmp_path / "student.weights.h5")
    other = StudentGenerator(**TINY, dtype=dtype)
    other.load_weights(tmp_path / "student.weights.h5")
    np.testing.assert_array_equal(np.array(other(inputs(student))), expected)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("pointwise_first", [False, True])
def test_order_of_weights_is_that_of_version_0_2(pointwise_first, dtype):
    """Content hashes, and the state of optimisers in checkpoints, go by it."""
    student = StudentGenerator(
        (4, 4), 3, 3, embedding_dim=2, pointwise_first=pointwise_first, dtype=dtype
    )
    layers = list(dict.fromkeys(weights.path.split("/")[0] for weights in student.weights))
    before = ["pointwise_0", "depthwise_0"] if pointwise_first else ["depthwise_0", "pointwise_0"]
    parts = ["norm_0", *before, "norm_1", "shortcut", "depthwise_1", "pointwise_1"]
    block = [f"block_0_{part}" for part in parts]
    assert layers == ["projection", "class_embedding", *block, "final_norm", "to_rgb"]


@pytest.mark.parametrize(
    "make",
    [
        lambda **changes: StudentGenerator(**TINY, **changes),
        lambda **changes: Discriminator((4, 8), num_classes=3, image_size=8, **changes),
    ],
    ids=["student", "discriminator"],
)
def test_dtype_is_that_of_every_layer_and_a_copy_may_have_another(make):
    network = make(dtype="mixed_bfloat16")
    kinds = {layer.name: layer.compute_dtype for layer in network.layers if layer.weights}
    assert set(kinds.values()) == {"bfloat16"}, kinds
    for variable in network.variables:
        variable.assign(np.random.default_rng(0).uniform(0.5, 1.5, variable.shape))
    copied = network.copy(dtype="float32")
    assert {layer.compute_dtype for layer in copied.layers} == {"float32"}
    for ours, theirs in zip(copied.variables, network.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    copied.variables[0].assign_add(np.ones(copied.variables[0].shape))
    assert not np.array_equal(copied.variables[0].numpy(), network.variables[0].numpy())


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_weights_that_are_not_float32_are_refused_by_name(dtype):
    with pytest.raises(ValueError, match=f"Got dtype '{dtype}'.*mixed_bfloat16"):
        StudentGenerator(**TINY).copy(dtype=dtype)


def test_students_saved_without_a_dtype_still_load():
    config = StudentGenerator(**TINY).get_config()
    del config["dtype"]
    assert StudentGenerator.from_config(config).compute_dtype == "float32"


def test_preset_arguments_can_be_overridden_and_unknown_presets_are_refused():
    student = StudentGenerator.from_preset("tinygan_fashion_32", channels=(8, 8, 8, 8))
    assert student.channels == (8, 8, 8, 8) and student.num_classes == 10
    with pytest.raises(ValueError, match="tinygan_129.*tinygan_128"):
        StudentGenerator.from_preset("tinygan_129")


SPREAD = {**TINY, "latent_dim": 6}


@pytest.mark.parametrize(
    ("settings", "channels", "parameters", "millions"),
    [
        ({"latents": "dense"}, (72, 72, 40, 16), 77_203, 4.505),
        ({"latents": "pieces"}, (80, 80, 56, 32), 72_059, 8.630),
        ({"latents": "everywhere"}, (64, 64, 56, 40), 76_843, 9.427),
        ({"latents": "pieces", "pointwise_first": True}, (80, 80, 56, 32), 71_579, 5.810),
    ],
)
def test_what_a_student_costs(settings, channels, parameters, millions):
    sizes = {"latent_dim": 32, "num_classes": 10, "embedding_dim": 16}
    student = StudentGenerator(channels, **settings, **sizes)
    assert count(student) == parameters
    assert cost_of(student)[1] == pytest.approx(millions, abs=1e-3)


@pytest.mark.parametrize(
    ("latents", "into_map", "into_blocks"),
    [("dense", {0, 1, 2}, set()), ("pieces", {0}, {1, 2}), ("everywhere", {0}, {0, 1, 2})],
)
def test_pieces_of_the_latents_go_to_the_map_and_to_the_blocks(latents, into_map, into_blocks):
    student = StudentGenerator(**SPREAD, latents=latents)
    z, labels = inputs(student)
    random = np.random.default_rng(1)
    for variable in student.trainable_variables:
        variable.assign(random.normal(size=variable.shape))

    def influential():
        """The thirds of z that change the images."""
        images = np.array(student((z, labels)))
        others = [z + np.repeat(np.eye(3)[piece], 2) for piece in range(3)]
        return {
            p for p, other in enumerate(others) if not np.allclose(student((other, labels)), images)
        }

    assert influential() == into_map | into_blocks
    kernel = student.get_layer("projection").kernel
    kernel.assign(np.zeros(kernel.shape))
    assert influential() == into_blocks
    # Each block has a piece of its own, or all of them.
    affine = student.get_layer("block_0_norm_0").affine.kernel.shape[0] - SPREAD["embedding_dim"]
    assert affine == {"dense": 0, "pieces": 2, "everywhere": 6}[latents]


@pytest.mark.parametrize("latents", ["pieces", "everywhere"])
def test_a_student_with_latents_in_its_blocks_is_like_any_other(latents, tmp_path):
    student = StudentGenerator(**SPREAD, latents=latents, pointwise_first=latents == "pieces")
    z, labels = inputs(student)
    images = np.array(student((z, labels)))
    student.save(tmp_path / "s.keras")
    loaded = keras.saving.load_model(tmp_path / "s.keras")
    assert loaded.latents == latents
    np.testing.assert_array_equal(loaded((z, labels)), images)
    half = loaded.copy(dtype="mixed_bfloat16")
    np.testing.assert_allclose(half((z, labels)), images, atol=0.02)
    np.testing.assert_allclose(student.mix(z, np.eye(3)[labels]), images, atol=1e-6)


def test_a_grey_student_has_three_equal_channels_and_a_third_of_the_last_convolution(tmp_path):
    student, colourful = (StudentGenerator(**TINY, image_channels=n) for n in (1, 3))
    z, labels = inputs(student)
    images = np.array(student((z, labels)))
    assert images.shape == colourful((z, labels)).shape and np.ptp(images) > 0
    np.testing.assert_array_equal(np.ptp(images, axis=-1), 0)
    assert count(colourful) - count(student) == 2 * (9 * TINY["channels"][-1] + 1)
    student.save(tmp_path / "s.keras")
    loaded = keras.saving.load_model(tmp_path / "s.keras")
    assert loaded.image_channels == 1
    np.testing.assert_array_equal(loaded((z, labels)), images)
    np.testing.assert_allclose(student.mix(z, np.eye(3)[labels]), images, atol=1e-6)


def test_the_paper_s_student_is_saved_as_before_there_were_others():
    config = StudentGenerator(**TINY).get_config()
    assert not {"latents", "pointwise_first", "image_channels"} & config.keys()
    same = StudentGenerator.from_config(config)
    assert (same.latents, same.pointwise_first) == ("dense", False)


def test_pieces_of_the_latents_may_differ_in_length_by_one():
    student = StudentGenerator(
        (8, 8, 4), latent_dim=8, num_classes=3, embedding_dim=4, latents="pieces"
    )
    lengths = [student.get_layer("projection").kernel.shape[0]]
    lengths += [student.get_layer(f"block_{i}_norm_0").affine.kernel.shape[0] - 4 for i in (0, 1)]
    assert lengths == [2, 3, 3]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"latents": "nowhere"}, "latents='nowhere'. Expected dense, pieces or everywhere"),
        ({"latents": "pieces", "latent_dim": 2}, "latent_dim=2 .* Expected 3 or more"),
        ({"image_channels": 2}, "image_channels=2. Expected 3, or 1 for grey"),
    ],
)
def test_networks_that_can_not_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        StudentGenerator(**{**TINY, **settings})


def test_class_embedding_can_start_from_the_teacher_s():
    student = StudentGenerator(**TINY)
    table = np.arange(12, dtype="float32").reshape(3, 4)
    student.set_class_embedding(table)
    np.testing.assert_array_equal(student.get_layer("class_embedding")(np.array([2]))[0], table[2])
    with pytest.raises(ValueError, match=r"shape \(3, 5\). Expected \(3, 4\)"):
        student.set_class_embedding(np.zeros((3, 5)))


# Between classes


def trained(**changes):
    """As trained: at the start the class embedding and the affine maps are nearly silent."""
    student = StudentGenerator(**TINY, **changes)
    for number, variable in enumerate(student.trainable_variables):
        variable.assign(np.random.default_rng(number).normal(size=variable.shape) / 2)
    return student


def test_one_hot_weights_give_the_image_of_the_class():
    student = trained()
    latents, labels = inputs(student)
    mixed = student.mix(latents, np.eye(3, dtype="float32")[labels])
    np.testing.assert_allclose(mixed, student((latents, labels)), atol=1e-6)
    in_graph = tf.function(student.mix)(tf.constant(latents), tf.one_hot(labels, 3))
    np.testing.assert_allclose(in_graph, mixed, atol=1e-6)


def test_mixture_is_the_class_whose_embedding_is_the_weighted_sum():
    student, other = trained(), trained()
    latents, _ = inputs(student)
    weights = np.array([[0.2, 0.5, 0.3]] * 4, "float32")
    table = np.asarray(student.get_layer("class_embedding").embeddings)
    other.set_class_embedding(np.repeat(weights[:1] @ table, 3, axis=0))
    expected = other((latents, np.zeros(4, "int32")))
    np.testing.assert_allclose(student.mix(latents, weights), expected, atol=1e-5)
    pure = [np.array(student((latents, np.full(4, label)))) for label in range(3)]
    assert all(np.abs(expected - image).max() > 0.05 for image in pure)


def test_mixing_follows_the_weights_of_the_student():
    student = trained()
    latents, labels = inputs(student)
    before = np.array(student.mix(latents, np.eye(3)[labels]))
    student.set_class_embedding(np.ones((3, 4)))
    after = student.mix(latents, np.eye(3)[labels])
    assert np.abs(after - before).max() > 0.01
    np.testing.assert_allclose(after, student((latents, labels)), atol=1e-6)


def test_mixing_leaves_no_trace_in_the_student_or_its_files(tmp_path):
    student = trained()
    latents, labels = inputs(student)

    def state(name):
        student.save_weights(tmp_path / f"{name}.weights.h5")
        prefix = tf.train.Checkpoint(model=student).write(str(tmp_path / name))
        saved = {n for n, _ in tf.train.list_variables(prefix)}
        file = (tmp_path / f"{name}.weights.h5").stat().st_size
        layers = [(layer.name, len(layer._inbound_nodes)) for layer in student.layers]
        return saved, file, layers, len(student.weights), student.to_json()

    before, images = state("before"), np.array(student((latents, labels)))
    student.mix(latents, np.eye(3)[labels])
    student.mix(latents, np.eye(3)[labels])
    assert state("after") == before
    np.testing.assert_array_equal(student((latents, labels)), images)
    student.save(tmp_path / "student.keras")
    loaded = keras.saving.load_model(tmp_path / "student.keras")
    np.testing.assert_allclose(loaded.mix(latents, np.eye(3)[labels]), images, atol=1e-6)


def test_half_precision_student_mixes_too():
    student = trained(dtype="mixed_bfloat16")
    latents, labels = inputs(student)
    mixed = student.mix(latents, np.eye(3)[labels])
    assert mixed.dtype == "float32"
    np.testing.assert_allclose(mixed, student((latents, labels)), atol=1e-6)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones((4, 2)), r"Got class weights float64 \(4, 2\)\. Expected float \[4, 3\]"),
        (np.array([0, 1, 2, 0]), r"Got class weights int64 \(4,\).*tf\.one_hot\(labels, 3\)"),
        (np.ones((1, 3)), r"float64 \(1, 3\)\. Expected float \[4, 3\], a row per latent"),
        (np.array([[1, 0, 0]] * 3 + [[0, 0, np.inf]]), "class weight inf in row 3 for class 2"),
        (np.full((4, 3), "much"), "Got class weights string"),
    ],
)
def test_wrong_class_weights_are_refused(weights, message):
    student = StudentGenerator(**TINY)
    with pytest.raises(ValueError, match=message):
        student.mix(inputs(student)[0], weights)
