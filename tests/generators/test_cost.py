import hub_fixtures
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from tinygan_keras.generators.cost import images_per_second, multiply_adds
from tinygan_keras.networks.layers import SpectralDense
from tinygan_keras.networks.network import count_parameters
from tinygan_keras.networks.student import StudentGenerator
from tinygan_keras.teachers.hub import HubTeacher

IMAGE = tf.TensorSpec((1, 8, 8, 3))


def count(layer, *shape):
    layer.build((None, *shape))
    return multiply_adds(layer, tf.TensorSpec((1, *shape)))


def test_convolution():
    # 8 * 8 positions, 3 * 3 * 3 weights each, 4 filters; the bias is not counted.
    assert count(layers.Conv2D(4, 3, padding="same"), 8, 8, 3) == 64 * 27 * 4


def test_strided_convolution_without_padding():
    # Positions along a side: (8 - 3) // 2 + 1 = 3.
    assert count(layers.Conv2D(4, 3, strides=2, padding="valid"), 8, 8, 3) == 9 * 27 * 4


def test_grouped_convolution():
    # Each of 6 filters sees 2 of the 4 channels.
    assert count(layers.Conv2D(6, 3, padding="same", groups=2), 8, 8, 4) == 64 * 9 * 2 * 6


def test_depthwise_convolution():
    # 4 channels, 2 filters each, 9 weights per filter.
    layer = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)
    assert count(layer, 8, 8, 4) == 64 * 9 * 4 * 2


def test_transposed_convolution():
    # Every input position, 4 * 4 of them with 5 channels, adds 3 * 3 weights to each of 2 channels.
    layer = layers.Conv2DTranspose(2, 3, strides=2, padding="same")
    assert count(layer, 4, 4, 5) == 16 * 5 * 9 * 2


def test_matrix_products():
    assert count(layers.Dense(7), 5) == 5 * 7
    assert count(layers.Dense(7), 6, 5) == 6 * 5 * 7
    matrices = tf.TensorSpec((1, 6, 5)), tf.TensorSpec((1, 6, 4))
    # [5, 6] times [6, 4], the first one transposed on the way.
    assert multiply_adds(lambda a, b: tf.matmul(a, b, transpose_a=True), *matrices) == 5 * 6 * 4


def test_einsum():
    specs = tf.TensorSpec((1, 6, 5)), tf.TensorSpec((1, 6, 4))
    assert multiply_adds(lambda a, b: tf.einsum("bij,bik->bjk", a, b), *specs) == 5 * 6 * 4
    with pytest.raises(ValueError, match="no ellipsis"):
        multiply_adds(lambda a, b: tf.einsum("...ij,...ik->...jk", a, b), *specs)


def test_resizing_and_elementwise_arithmetic_are_free():
    def function(images):
        return tf.image.resize(images, (16, 16)) * 2.0 + tf.nn.relu(images[:, :1, :1])

    assert multiply_adds(function, IMAGE) == 0


def test_called_functions_are_counted_at_every_call():
    kernel = tf.Variable(tf.zeros((3, 3, 3, 3)))

    @tf.function
    def convolve(images):
        return tf.nn.conv2d(images, kernel, 1, "SAME")

    twice = tf.function(lambda images: convolve(convolve(images)))
    assert multiply_adds(twice, IMAGE) == 2 * 64 * 27 * 3


def test_function_traced_with_an_open_batch_is_counted_per_image():
    kernel = tf.Variable(tf.zeros((3, 3, 3, 4)))
    convolve = tf.function(lambda images: tf.nn.conv2d(images, kernel, 1, "SAME"))
    concrete = convolve.get_concrete_function(tf.TensorSpec((None, 8, 8, 3)))
    assert multiply_adds(concrete, IMAGE) == 64 * 27 * 4


def test_unknown_shape_is_an_error_not_a_zero():
    with pytest.raises(ValueError, match="batch size of 1"):
        multiply_adds(
            lambda images: tf.nn.conv2d(images, tf.zeros((3, 3, 3, 4)), 1, "SAME"),
            tf.TensorSpec((None, 8, 8, 3)),
        )


def test_compiled_function_is_counted():
    kernel = tf.Variable(tf.zeros((5, 7)))
    compiled = tf.function(lambda vectors: tf.matmul(vectors, kernel), jit_compile=True)
    assert multiply_adds(compiled, tf.TensorSpec((1, 5))) == 5 * 7


def test_products_in_a_loop_are_an_error_not_a_zero():
    kernel = tf.Variable(tf.zeros((5, 5)))

    def repeated(vectors):
        return tf.while_loop(
            lambda i, _: i < 3, lambda i, x: (i + 1, tf.matmul(x, kernel)), (0, vectors)
        )

    with pytest.raises(ValueError, match="loop or branch"):
        multiply_adds(repeated, tf.TensorSpec((1, 5)))


def test_loop_without_products_is_free():
    def function(vectors):
        return tf.map_fn(lambda row: 2.0 * row, vectors)

    assert multiply_adds(function, tf.TensorSpec((1, 5))) == 0


def test_power_iteration_does_not_belong_to_an_image():
    layer = SpectralDense(7)
    layer.build((None, 5))
    assert multiply_adds(layer, tf.TensorSpec((1, 5))) == 5 * 7


def test_student_is_the_sum_of_its_layers():
    student = StudentGenerator(channels=(4, 6), latent_dim=3, num_classes=2, embedding_dim=5)
    latents, labels = tf.TensorSpec((1, 3)), tf.TensorSpec((1,), tf.int32)
    dense = 3 * 16 * 4
    affine = 5 * 2 * 4 + 5 * 2 * 6  # scale and shift of both conditional norms
    residual = 64 * (9 * 4 + 4 * 6) + 64 * (9 * 6 + 6 * 6)  # depthwise and pointwise, twice
    shortcut = 16 * 4 * 6  # before the upsampling
    to_rgb = 64 * 9 * 6 * 3
    expected = dense + affine + residual + shortcut + to_rgb
    assert multiply_adds(student, (latents, labels)) == expected


@pytest.fixture(scope="module", params=["stateless", "stateful", "branching", "TF2"])
def teacher(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("teachers") / "module"
    if request.param == "TF2":
        return HubTeacher(hub_fixtures.write_tf2_module(folder), truncation=0.5)
    return HubTeacher(hub_fixtures.write_tf1_module(folder, request.param), truncation=0.5)


def test_frozen_module_of_tf_hub(teacher):
    latents = tf.TensorSpec((1, hub_fixtures.LATENT_DIM))
    labels = tf.TensorSpec((1,), tf.int32)
    channels = hub_fixtures.CHANNELS
    classes, embedding = hub_fixtures.NUM_CLASSES, hub_fixtures.EMBEDDING_DIM
    condition = hub_fixtures.LATENT_DIM + embedding
    dense = classes * embedding + condition * 16 * channels + 2 * condition * channels
    blocks = (8 * 8 + 16 * 16) * 9 * channels * channels
    attention = 64 * channels * (channels // 2 + channels // 2 + channels)
    attention += 64 * 64 * (channels // 2 + channels)
    to_rgb = 16 * 16 * 9 * channels * 3
    assert multiply_adds(teacher, latents, labels) == dense + blocks + attention + to_rgb


@pytest.mark.parametrize("frozen", [False, True])
def test_parameters_of_a_model_leave_moving_statistics_out(frozen):
    model = keras.Sequential([keras.Input((5,)), layers.Dense(7), layers.BatchNormalization()])
    model.trainable = not frozen
    assert count_parameters(model) == 5 * 7 + 7 + 2 * 7
    assert count_parameters(model.weights) == 5 * 7 + 7 + 4 * 7


def test_images_per_second_is_batch_size_over_the_median_call(monkeypatch):
    clock = iter([0.0, 0.1, 1.0, 1.4, 2.0, 2.2])  # calls of 0.1, 0.4 and 0.2 seconds
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    assert images_per_second(lambda: np.zeros((8, 1)), 8, seconds=0.6) == pytest.approx(40)


def test_images_per_second_warms_up_and_calls_at_least_three_times():
    calls = []
    images_per_second(lambda: calls.append(0) or ops.zeros((2, 1)), 2, seconds=0)
    assert len(calls) == 2 + 3
