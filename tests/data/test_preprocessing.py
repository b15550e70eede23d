"""Real images on their way to the networks: crop, size, rounding, flips; in the graph as by hand."""

import io

import numpy as np
import pytest
import tensorflow as tf
from image_tree_fixtures import pixels
from PIL import Image

from tinygan_keras import images
from tinygan_keras.data.real_images.decoding import decode
from tinygan_keras.data.real_images.preprocessing import (
    crop_and_resize,
    describe_preprocessing,
    flip_at_random,
    to_float,
)


def weights(size, new_size):
    """Triangles in half-pixel coordinates, as wide as a new pixel where the image shrinks."""
    scale = size / new_size
    centres = (np.arange(new_size)[:, None] + 0.5) * scale
    distance = np.abs(np.arange(size) + 0.5 - centres) / max(scale, 1.0)
    triangles = np.maximum(0.0, 1.0 - distance)
    return triangles / triangles.sum(axis=1, keepdims=True)


def by_hand(image, size):
    """The NumPy twin of `crop_and_resize`."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side].astype("float64")
    matrix = weights(side, size)
    return np.rint(np.einsum("yh,xw,hwc->yxc", matrix, matrix, square)).astype("uint8")


@pytest.mark.parametrize(("height", "width"), [(40, 53), (61, 32), (16, 16), (9, 7), (375, 500)])
def test_crop_and_resize_equals_its_twin_eagerly_and_in_a_data_set(height, width):
    image = pixels(1, height, width)
    expected = by_hand(image, 16)
    eager = crop_and_resize(image, 16).numpy()
    (in_graph,) = tf.data.Dataset.from_tensors(image).map(lambda x: crop_and_resize(x, 16))
    np.testing.assert_array_equal(in_graph, eager)
    difference = np.abs(eager.astype(int) - expected)  # a half may be rounded to either side
    assert difference.max() <= 1 and (difference > 0).mean() < 0.01


def test_a_worked_example():
    row = np.array([9, 9, 0, 100, 200, 40, 9, 9], "uint8")  # the middle four columns are kept
    image = np.broadcast_to(row[None, :, None], (4, 8, 3))
    # Weights 3/8, 3/8, 1/8 at the border of the image and 1/8, 3/8, 3/8, 1/8 inside, made to add up to 1.
    left = (3 * 0 + 3 * 100 + 1 * 200) / 7
    right = (1 * 100 + 3 * 200 + 3 * 40) / 7
    expected = np.rint([left, right])
    np.testing.assert_array_equal(crop_and_resize(image, 2)[0, :, 0], expected)


def test_resizing_is_pillows_bilinear():
    image = pixels(2, 90, 90)
    theirs = np.asarray(Image.fromarray(image).resize((32, 32), Image.BILINEAR)).astype(int)
    assert np.abs(crop_and_resize(image, 32).numpy() - theirs).max() <= 1


def test_a_batch_is_treated_as_its_images():
    batch = np.stack([pixels(seed, 20, 24) for seed in range(3)])
    singles = [crop_and_resize(image, 8) for image in batch]
    np.testing.assert_array_equal(crop_and_resize(batch, 8), tf.stack(singles))


def test_an_image_of_the_right_size_stays_as_it_is():
    image = pixels(3, 32, 32)
    np.testing.assert_array_equal(crop_and_resize(image, 32), image)


def test_floats_are_those_of_numpy():
    levels = np.arange(256, dtype="uint8")
    np.testing.assert_allclose(to_float(levels), images.to_float(levels), atol=1e-7)
    np.testing.assert_array_equal(images.to_uint8(to_float(levels)), levels)


def test_flips_mirror_half_of_the_images_and_depend_on_seed_and_step_alone():
    batch = np.stack([pixels(seed, 8, 8) for seed in range(64)])
    first = flip_at_random(batch, 3, 5).numpy()
    is_mirrored = np.array(
        [np.array_equal(a, b[:, ::-1]) for a, b in zip(first, batch, strict=True)]
    )
    is_kept = np.array([np.array_equal(a, b) for a, b in zip(first, batch, strict=True)])
    assert (is_mirrored ^ is_kept).all() and 16 < is_mirrored.sum() < 48
    np.testing.assert_array_equal(flip_at_random(batch, 3, tf.constant(5, tf.int64)), first)
    for seed, step in ((4, 5), (3, 6)):
        assert not np.array_equal(flip_at_random(batch, seed, step), first)


def encoded(image, name, **options):
    stream = io.BytesIO()
    image.save(stream, name, **options)
    return stream.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpegs_of_all_kinds_become_rgb_as_pillow_has_it(mode):
    content = encoded(Image.fromarray(pixels(4)).convert(mode), "JPEG", quality=90)
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    np.testing.assert_array_equal(decode(content, "x"), expected)


@pytest.mark.parametrize(
    ("name", "mode"), [("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "L"), ("BMP", "RGB")]
)
def test_other_formats_become_rgb(name, mode):
    image = Image.fromarray(pixels(5)).convert(mode)
    content = encoded(image, name)
    np.testing.assert_array_equal(decode(content, "x"), np.asarray(image.convert("RGB")))


def test_gif_and_webp_are_decoded():
    for name in ("GIF", "WEBP"):
        image = decode(encoded(Image.fromarray(pixels(6)), name), "x")
        assert image.shape == (40, 52, 3)


@pytest.mark.parametrize(
    "content", [b"", b"<html>not found</html>", encoded(Image.fromarray(pixels(7)), "JPEG")[:500]]
)
def test_what_is_no_image_is_named(content):
    files = tf.data.Dataset.from_tensors((content, "some/folder/file.JPEG"))
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="Got some/folder/file.JPEG, which can't"
    ):
        list(files.map(decode))


def test_the_description_says_what_is_done():
    text = describe_preprocessing(128, horizontal_flip=True)
    for word in (
        "centre crop",
        "bilinear with antialiasing to 128x128",
        "8 bits",
        "flipped",
        "[-1, 1]",
    ):
        assert word in text
