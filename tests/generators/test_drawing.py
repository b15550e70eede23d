"""Images drawn when they are read: the same whoever reads them, and never a silent NaN."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras.generators.drawing import BLOCK, DrawnImages, draw_labels


def generator(scale=0.4, **fields):
    """Paints the first latent in red and a tenth of the label in green."""

    def draw(latents, labels):
        red, green = scale * latents[:, 0], tf.cast(labels, tf.float32) / 10
        colours = tf.stack([red, green, 0 * red], axis=-1)
        return colours[:, None, None] * tf.ones((1, 8, 8, 1))

    known = {"source": "painter", "latent_dim": 3, "image_size": 8, "num_classes": 5}
    return SimpleNamespace(draw=draw, **known | fields)


def drawn(count=BLOCK + 20, seed=3, **options):
    return DrawnImages(generator(**options), np.arange(count) % 5, truncation=0.5, seed=seed)


def test_an_image_does_not_depend_on_the_portion_it_is_read_in():
    images = drawn()
    whole = images.read(0, images.count)
    assert whole.shape == (BLOCK + 20, 8, 8, 3) and whole.dtype == np.uint8
    np.testing.assert_array_equal(images.read(BLOCK - 3, BLOCK + 4), whole[BLOCK - 3 : BLOCK + 4])
    np.testing.assert_array_equal(images.read(7, 8), whole[7:8])


def test_images_show_their_latent_and_their_label():
    images = drawn()
    latents, colours = images.latents(0, 9), images.read(0, 9)[:, 0, 0]
    assert colours[:, 0] == pytest.approx((0.4 * latents[:, 0] + 1) * 127.5, abs=0.51)
    assert colours[:, 1] == pytest.approx((images.labels[:9] / 10 + 1) * 127.5, abs=0.51)


def test_latents_are_cut_off_at_twice_the_truncation_and_differ_everywhere():
    latents = drawn(4 * BLOCK).latents(0, 4 * BLOCK)
    assert np.abs(latents).max() <= 1.0
    assert np.abs(latents).max() > 0.8
    assert len(np.unique(latents, axis=0)) == 4 * BLOCK


def test_the_seed_makes_the_latents():
    np.testing.assert_array_equal(drawn().latents(0, 5), drawn().latents(0, 5))
    assert not np.array_equal(drawn().latents(0, 5), drawn(seed=4).latents(0, 5))


def test_nan_is_counted_and_located():
    def draw(latents, labels):
        images = generator().draw(latents, labels)
        return tf.where(labels[:, None, None, None] == 3, np.nan, images)

    images = drawn(10)
    images.generator.draw = draw
    with pytest.raises(ValueError, match="in 2 of 10 images of painter; the first is number 3"):
        images.read(0, 10)


def test_values_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"Expected \[-1, 1\]; let the generator end in tanh"):
        drawn(scale=127.5).read(0, 10)


def test_balanced_labels_take_turns():
    law, labels = draw_labels("auto", 7, generator(), None, seed=0)
    assert (law, labels.tolist()) == ("balanced", [0, 1, 2, 3, 4, 0, 1])


def test_real_labels_are_shuffled_and_used_equally_often():
    real = np.repeat([0, 1, 4], [4, 2, 6])
    law, labels = draw_labels("auto", 24, generator(), real, seed=0)
    assert law == "reference"
    assert np.bincount(labels).tolist() == [8, 4, 0, 0, 12]
    assert labels[:12].tolist() != real.tolist()


@pytest.mark.parametrize(
    ("law", "real", "classes", "message"),
    [
        ("reference", None, 5, "with real images that have labels"),
        ("uniform", None, 5, "Expected 'balanced'"),
        ("balanced", None, None, "how many classes"),
        ("auto", [5], 5, "labels up to 5, and 5 classes"),
    ],
)
def test_a_law_of_labels_needs_what_it_draws_from(law, real, classes, message):
    with pytest.raises(ValueError, match=message):
        draw_labels(law, 4, generator(num_classes=classes), real, seed=0)
