"""The folded graph draws the student's images, bit by bit the same in any batch, with the floats it needs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras.networks.student import StudentGenerator
from tinygan_keras.saved_model.inference import inference_graph
from tinygan_keras.saved_model.same_images import check_same_images

LATENT_DIM = 6
FEW, MANY = (
    3,
    40,
)  # classes: so few that tables are smaller than the embedding, so many that they aren't


def make_student(num_classes=FEW, **arguments):
    """A student none of whose parts has the values it starts with, which folding could take for granted."""
    student = StudentGenerator(
        channels=(8, 4, 6),
        latent_dim=LATENT_DIM,
        num_classes=num_classes,
        embedding_dim=2,
        **arguments,
    )
    random = np.random.default_rng(0)
    for variable in student.weights:
        if variable.name == "moving_variance":
            variable.assign(random.uniform(0.3, 3, variable.shape))
        else:
            variable.assign(variable + random.normal(0, 0.3, variable.shape))
    return student


@pytest.fixture(scope="module", params=[FEW, MANY], ids=["tables", "embedding"])
def student(request):
    return make_student(request.param)


def latents_and_labels(count, num_classes):
    latents = np.random.default_rng(1).normal(size=(count, LATENT_DIM)).astype("float32")
    return latents, np.arange(count) % num_classes


@pytest.mark.parametrize("count", [1, 8, MANY])
@pytest.mark.parametrize("way", ["__call__", "row_by_row"])
def test_images_are_those_of_the_student(student, way, count):
    latents, labels = latents_and_labels(count, student.num_classes)
    draw = tf.function(getattr(inference_graph(student), way))

    images = draw(tf.constant(latents), tf.constant(labels))

    expected = student((latents, labels), training=False)
    assert np.std(expected) > 0.3
    np.testing.assert_allclose(images, expected, atol=1e-5)
    assert images.dtype == tf.float32


def test_one_graph_takes_batches_of_any_size(student):
    graph = inference_graph(student)
    spec = tf.TensorSpec((None, LATENT_DIM)), tf.TensorSpec((None,), tf.int64)
    for draw, counts in ((graph, (1, 5)), (graph.row_by_row, (0, 1, 5))):
        concrete = tf.function(draw).get_concrete_function(*spec)
        for count in counts:
            latents, labels = latents_and_labels(count, student.num_classes)
            assert concrete(tf.constant(latents), tf.constant(labels)).shape == (count, 16, 16, 3)


def test_rows_are_drawn_bit_by_bit_alike_in_any_batch(student):
    draw = tf.function(inference_graph(student).row_by_row)
    latents, labels = map(tf.constant, latents_and_labels(5, student.num_classes))

    together = draw(latents, labels)

    for row in range(5):
        alone = draw(latents[row : row + 1], labels[row : row + 1])
        np.testing.assert_array_equal(alone[0], together[row])


def test_floats_are_kept_once_in_the_smaller_form():
    """Worked by hand for channels 8, 4, 6 and an embedding of 2."""
    norms = 2 * (8 + 4 + 4 + 6)  # scales and shifts of a class
    others = 7 * 16 * 8  # projection
    others += 9 * (8 + 4 + 4 + 6)  # depthwise
    others += (8 * 4 + 4 * 4 + 8 * 4 + 4) + (4 * 6 + 6 * 6 + 4 * 6 + 6)  # pointwise, shortcut, bias
    others += 4 * 4 * 6 * 12 + 12  # the last convolution, four pixels at once

    tables = inference_graph(make_student(FEW))
    embedding = inference_graph(make_student(MANY))

    assert sum(map(tf.size, tables.variables)) == others + FEW * norms
    assert sum(map(tf.size, embedding.variables)) == others + MANY * 2 + 3 * norms
    for variable in (*tables.variables, *embedding.variables):
        assert (variable.dtype, variable.trainable) == (tf.float32, False)


def test_graph_does_not_follow_the_student():
    student = make_student()
    draw = inference_graph(student)
    inputs = latents_and_labels(2, FEW)
    before = draw(*inputs)

    for variable in student.weights:
        variable.assign(0 * variable)

    np.testing.assert_array_equal(draw(*inputs), before)


def test_other_models_are_refused():
    with pytest.raises(TypeError, match="Got a Sequential.*Expected a StudentGenerator"):
        inference_graph(keras.Sequential([keras.layers.Dense(1)]))


def test_check_passes_the_same_images_and_finds_others():
    student = make_student()
    graph = inference_graph(student)
    check_same_images(graph, student)

    graph.blocks[0].bias.assign_add(0.01 * tf.ones(4))
    with pytest.raises(ArithmeticError, match=r"differ by up to .*at most \d.*rewrite=False"):
        check_same_images(graph, student)
    graph.blocks[0].bias.assign(np.nan * np.ones(4))
    with pytest.raises(ArithmeticError, match="differ by up to 2 "):
        check_same_images(graph, student)


def student_and_its_rounding(size):
    """A student in which numbers of a size cancel out, and how far its folded images are from its own."""
    keras.utils.set_random_seed(0)
    student = make_student()
    norm, last = student.get_layer("final_norm"), student.get_layer("to_rgb")
    norm.beta.assign_add(size * tf.ones(6))
    last.bias.assign_sub(size * tf.reduce_sum(last.kernel, (0, 1, 2)))
    graph = inference_graph(student)
    latents, labels = latents_and_labels(8, FEW)
    difference = graph.row_by_row(latents, labels) - student((latents, labels))
    return student, graph, np.abs(difference).max()


def test_check_allows_for_what_the_student_itself_makes_of_rounding():
    """Latents that differ in their last bit move the images of this one by more than the limit."""
    student, graph, difference = student_and_its_rounding(300.0)
    assert 2e-5 < difference < 1e-3

    check_same_images(graph.row_by_row, student)


def test_check_allows_no_rounding_that_could_be_seen():
    student, graph, difference = student_and_its_rounding(1e4)
    assert difference > 2e-3

    with pytest.raises(ArithmeticError, match=r"Expected at most 0\.001\."):
        check_same_images(graph.row_by_row, student)


def test_check_multiplies_all_of_float32():
    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    before, meanwhile = enabled(), []
    student = make_student()
    graph = inference_graph(student)

    def draw(z, label):
        meanwhile.append(enabled())
        return graph(z, label)

    check_same_images(draw, student)

    assert (set(meanwhile), enabled()) == ({False}, before)


def test_student_in_half_precision_is_held_against_itself_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    student = make_student()

    check_same_images(inference_graph(student), student)

    assert keras.config.dtype_policy().name == "mixed_bfloat16"


def test_student_that_has_diverged_is_refused():
    student = make_student()
    student.get_layer("to_rgb").bias.assign([np.nan] * 3)
    with pytest.raises(ArithmeticError, match="not finite.*earlier checkpoint"):
        check_same_images(inference_graph(student), student)
