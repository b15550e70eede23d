"""The classification accuracy score: a number that only the samples, the test and the seed decide."""

import random
import re
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras.evaluation.metrics import classification
from tinygan_keras.evaluation.metrics.classification import (
    build_classifier,
    classification_accuracy_score,
)

SIZE, CLASSES = 8, 3


def coloured(count, seed, noise):
    """Noisy images whose strongest channel is their class."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % CLASSES).astype("int32")
    images = rng.normal(100, noise, (count, SIZE, SIZE, 3))
    images[np.arange(count), :, :, labels] += 30
    return images.clip(0, 255).astype("uint8"), labels


def score(train, test, **settings):
    return classification_accuracy_score(*train, *test, CLASSES, **settings)


def test_samples_that_show_their_class_teach_it():
    accuracy, parameters = score(coloured(300, 0, 20), coloured(60, 1, 20), epochs=6)
    assert accuracy > 0.95
    assert parameters == build_classifier(SIZE, CLASSES).count_params()


def global_state():
    """Everything global that a training might move, but for names."""
    return (
        random.getstate(),
        str(np.random.get_state()),
        np.array(tf.random.normal((2,))).tolist(),
        np.array(keras.random.normal((2,))).tolist(),
        keras.config.dtype_policy().name,
    )


def next_names():
    """Numbers at the end of the names that Keras gives to unnamed layers; the first has none."""
    layers = keras.layers.Dense(1), keras.layers.Add(), keras.layers.BatchNormalization()
    return np.array([int(re.sub(r"\D", "", layer.name) or 0) for layer in layers])


@pytest.mark.full
def test_seed_alone_decides_and_nothing_global_moves():
    """With noise that leaves many errors, so that another training would give another number."""
    train, test = coloured(96, 0, 140), coloured(999, 1, 140)
    keras.utils.set_random_seed(1)
    expected_state = global_state()
    names = next_names()
    keras.utils.set_random_seed(1)
    first = score(train, test, epochs=2)
    assert global_state() == expected_state
    assert (next_names() == names + 1).all()

    keras.utils.set_random_seed(2)
    keras.config.set_dtype_policy("mixed_float16")
    again = score(train, test, epochs=2)
    assert keras.config.dtype_policy().name == "mixed_float16"
    assert again == first
    assert 0.34 < first[0] < 0.99


def test_every_epoch_shows_every_image_once_in_an_order_of_its_own():
    images = np.zeros((12, SIZE, SIZE, 3), "uint8")
    batches = classification._training_batches(images, np.arange(12, dtype="int32"), 4, 2, seed=5)
    orders = np.concatenate([labels for _, labels in batches.as_numpy_iterator()]).reshape(2, 12)
    for order in orders:
        assert sorted(order) == list(range(12))
    assert not np.array_equal(*orders)


def test_shifts_repeat_the_border_and_stay_within_a_sixteenth():
    size = 32
    picture = np.arange(size * size * 3).reshape(1, size, size, 3) % 251
    images = np.repeat(picture, 40, 0).astype("uint8")
    labels = np.zeros(40, "int32")
    padded = np.pad(images[0], ((2, 2), (2, 2), (0, 0)), mode="edge")
    expected = {
        (y, x): padded[y : y + size, x : x + size].tobytes() for y in range(5) for x in range(5)
    }
    (shifted, _), *_ = classification._training_batches(images, labels, 40, 1, seed=0)
    found = {image.numpy().tobytes() for image in shifted}
    assert found <= set(expected.values())
    assert len(found) > 12  # of 25


@pytest.mark.parametrize(("size", "stages"), [(4, 1), (8, 1), (28, 3), (32, 3), (64, 4), (128, 5)])
def test_bigger_images_get_a_stage_more_for_every_doubling(size, stages):
    model = build_classifier(size, CLASSES)
    assert model.output_shape == (None, CLASSES)
    final = model.get_layer("pool").input.shape
    assert final[1] == (size if size == 4 else 4) / (2 if size == 4 else 1)
    assert final[3] == [32, 64, 128, 256, 256][stages - 1]


def test_the_weights_follow_the_seed():
    first, again, other = (
        build_classifier(SIZE, CLASSES, seed).get_weights() for seed in (0, 0, 1)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    kernels = [index for index, weight in enumerate(first) if weight.ndim > 1]
    assert not any(np.array_equal(first[index], other[index]) for index in kernels)
    # No two convolutions of one shape start alike.
    flat = [first[index].ravel()[:20].tobytes() for index in kernels]
    assert len(set(flat)) == len(flat)


def test_the_classifier_sees_levels_as_minus_one_to_one():
    model = build_classifier(SIZE, CLASSES)
    scaled = keras.Model(model.input, model.get_layer("range").output, name="scaled")
    levels = np.array([0, 255], "uint8")[:, None, None, None] * np.ones((2, SIZE, SIZE, 3), "uint8")
    np.testing.assert_allclose(np.array(scaled(levels))[:, 0, 0, 0], [-1, 1], atol=1e-6)


def test_a_training_that_diverged_gives_no_number():
    model = build_classifier(SIZE, CLASSES)
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    with pytest.raises(ArithmeticError, match="diverged"):
        classification._logits(model, coloured(3, 0, 1)[0])


@pytest.mark.parametrize(("size", "test_size"), [(8, 4), (2, 2)])
def test_sizes_on_which_nothing_can_be_learned_are_refused(size, test_size):
    images, test = SimpleNamespace(image_size=size), SimpleNamespace(image_size=test_size)
    with pytest.raises(ValueError, match=f"of {size} pixels and test images of {test_size}"):
        classification.check_test_images(images, test)
