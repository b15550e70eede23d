"""The graph that only generates: the student's images, bit by bit the same in any batch."""

import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras.networks.student import StudentGenerator
from tinygan_keras.saved_model.inference import inference_student, row_by_row

LATENT_DIM = 6


def make_student(**arguments):
    """A student none of whose parts has the values it starts with, which could hide a mistake."""
    student = StudentGenerator(
        channels=(8, 4, 6), latent_dim=LATENT_DIM, num_classes=3, embedding_dim=2, **arguments
    )
    random = np.random.default_rng(0)
    for variable in student.weights:
        if variable.name == "moving_variance":
            variable.assign(random.uniform(0.3, 3, variable.shape))
        else:
            variable.assign(np.asarray(variable) + random.normal(0, 0.3, variable.shape))
    return student


@pytest.fixture(
    scope="module",
    params=[{}, {"latents": "pieces", "pointwise_first": True}],
    ids=["paper", "ours"],
)
def student(request):
    return make_student(**request.param)


@pytest.fixture(scope="module")
def draw(student):
    specs = [tf.TensorSpec((None, LATENT_DIM)), tf.TensorSpec((None,), tf.int64)]
    return tf.function(row_by_row(student), input_signature=specs)


def inputs(count):
    latents = np.random.default_rng(1).normal(size=(count, LATENT_DIM)).astype("float32")
    return tf.constant(latents), tf.constant(np.arange(count) % 3)


@pytest.mark.parametrize("count", [1, 8])
def test_images_are_those_of_the_student(student, draw, count):
    images = draw(*inputs(count))

    expected = student(inputs(count), training=False)
    assert np.std(expected) > 0.3
    np.testing.assert_allclose(images, expected, atol=1e-5)
    assert images.dtype == tf.float32


def test_rows_are_bit_by_bit_the_same_in_any_batch(draw):
    latents, labels = inputs(5)
    together = draw(latents, labels)

    for row in range(5):
        alone = draw(latents[row : row + 1], labels[row : row + 1])
        np.testing.assert_array_equal(alone[0], together[row])
    assert draw(latents[:0], labels[:0]).shape == (0, 16, 16, 3)


def test_the_last_normalisation_moves_and_the_student_is_left_alone(student):
    before = [np.array(weights) for weights in student.get_weights()]

    moved = inference_student(student)

    np.testing.assert_allclose(moved(inputs(4)), student(inputs(4)), atol=1e-5)
    norm = moved.get_layer("final_norm")
    features = np.random.default_rng(2).normal(size=(2, 16, 16, 6)).astype("float32")
    np.testing.assert_allclose(norm(features, training=False), features, atol=1e-6)
    for weights, old in zip(student.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weights, old)


def test_half_precision_becomes_float32():
    student = make_student(dtype="mixed_bfloat16")
    expected = student.copy(dtype="float32")(inputs(2))
    np.testing.assert_allclose(row_by_row(student)(*inputs(2)), expected, atol=1e-5)


def test_weights_are_constants(student):
    student = student.copy()
    draw = row_by_row(student)
    before = draw(*inputs(2))

    for variable in student.weights:
        variable.assign(0 * variable)

    np.testing.assert_array_equal(draw(*inputs(2)), before)
