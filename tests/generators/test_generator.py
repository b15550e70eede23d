"""Images by class, seed and truncation: the same whoever reads them, and never a silent NaN."""

import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras.generators.generator import PORTION, GeneratedImages, Generator, grid_of
from tinygan_keras.latents import latents_of_seeds


def painter(scale=0.4, **fields):
    """Paints the first latent in red and a tenth of the label in green."""

    def draw(latents, labels):
        red, green = scale * latents[:, 0], tf.cast(labels, tf.float32) / 10
        colours = tf.stack([red, green, 0 * red], axis=-1)
        return colours[:, None, None] * tf.ones((1, 8, 8, 1))

    known = {"source": "painter", "format": "keras model", "content_hash": "0" * 64}
    names = ("ant", "bee", "cat", "dog", "elk")
    known |= {"latent_dim": 3, "image_size": 8, "num_classes": 5, "class_names": names}
    return Generator(**known | {"draw": draw} | fields)


def colours(labels, seeds, truncation):
    red = (0.4 * latents_of_seeds(seeds, 3, truncation)[:, 0] + 1) * 127.5
    return np.stack([red, (np.asarray(labels) / 10 + 1) * 127.5], axis=1)


def test_an_image_is_that_of_its_class_its_seed_and_the_truncation():
    images = painter().generate(["bee", 3, "dog"], seeds=[7, 7, 2**40], truncation=0.8)
    assert images.shape == (3, 8, 8, 3) and images.dtype == np.uint8
    expected = colours([1, 3, 3], [7, 7, 2**40], 0.8)
    np.testing.assert_allclose(images[:, 0, 0, :2], expected, atol=0.51)


def test_a_seed_to_start_from_and_every_class_once():
    images = painter().generate(seeds=4)
    np.testing.assert_array_equal(images, painter().generate(range(5), seeds=[4, 5, 6, 7, 8]))


@pytest.mark.parametrize(
    ("given", "own", "expected"),
    [(None, None, 0.5), (None, 0.25, 0.25), (0.0, 0.25, 0.0), (None, 0.0, 0.0), (1, 0.25, 1.0)],
)
def test_truncation_is_the_given_one_or_the_generator_s_own(given, own, expected):
    images = painter(truncation=own).generate([0], seeds=3, truncation=given)
    np.testing.assert_allclose(images[:, 0, 0, :2], colours([0], [3], expected), atol=0.51)


def test_a_teacher_generates_at_its_own_truncation_only():
    teacher = painter(format="teacher", truncation=0.25)
    assert teacher.generate([0], truncation=0.25).shape == (1, 8, 8, 3)
    with pytest.raises(
        ValueError, match="of truncation 0.25, and truncation 0.5. Expected the same"
    ):
        teacher.generate([0], truncation=0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cow",), "the class 'cow'"),
        ((5,), "the class 5"),
        (([0, 1], [3]), "1 seeds for 2 pictures"),
        ((0, -1), "seeds=-1"),
        ((0, 0, 1.5), "truncation=1.5"),
    ],
)
def test_what_makes_no_image_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        painter().generate(*arguments)


def test_a_grid_is_every_class_with_every_seed():
    labels, seeds = grid_of([3, 1], [5, 6, 7])
    assert labels.tolist() == [3, 3, 3, 1, 1, 1] and seeds.tolist() == [5, 6, 7, 5, 6, 7]
    labels, seeds = grid_of([3, 1], [5, 6, 7], seed_by_seed=True)
    assert labels.tolist() == [3, 1, 3, 1, 3, 1] and seeds.tolist() == [5, 5, 6, 6, 7, 7]


def test_an_image_does_not_depend_on_the_portion_it_is_read_in():
    count = PORTION + 20
    images = GeneratedImages(painter(), np.arange(count) % 5, 3, 0.5)
    whole = images.read(0, count)
    assert whole.shape == (count, 8, 8, 3)
    middle = images.read(PORTION - 3, PORTION + 4)
    np.testing.assert_array_equal(middle, whole[PORTION - 3 : PORTION + 4])
    np.testing.assert_array_equal(images.read(7, 8), whole[7:8])


def test_nan_is_counted_and_located():
    def draw(latents, labels):
        images = painter().draw(latents, labels)
        return tf.where(labels[:, None, None, None] == 3, np.nan, images)

    with pytest.raises(ValueError, match="in 2 of 10 images of painter; the first is number 3"):
        GeneratedImages(painter(draw=draw), np.arange(10) % 5).read(0, 10)


def test_values_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"Expected \[-1, 1\]; let the generator end in tanh"):
        painter(scale=127.5).generate()
