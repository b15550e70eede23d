"""The one decoder and its policy; crop and size as by hand; flips."""

import io
import warnings

import numpy as np
import pytest
import tensorflow as tf
from image_tree_fixtures import encoded, pixels
from PIL import Image

from tinygan_keras.data.image_decoding import (
    crop_and_resize,
    decode,
    decode_all,
    describe_preprocessing,
    file_text,
)
from tinygan_keras.data.image_sets import flip_at_random


def gradient(size=32):
    y, x = np.mgrid[0:size, 0:size] * (256 // size)
    return np.stack([x, y, (x + y) // 2], axis=-1).astype("uint8")


def without_adobe(content):
    """A JPEG without its APP14 marker, as two of ImageNet's four-channel files."""
    place = content.find(b"\xff\xee")
    return (
        content[:place]
        + content[place + 2 + int.from_bytes(content[place + 2 : place + 4], "big") :]
    )


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpegs_become_rgb_as_pillow_has_it(mode):
    content = encoded(Image.fromarray(pixels(4)).convert(mode), "JPEG", quality=90)
    with Image.open(io.BytesIO(content)) as image:
        np.testing.assert_array_equal(decode(content).pixels, np.asarray(image.convert("RGB")))


def test_cmyk_without_adobes_marker_is_read_as_with_it():
    content = encoded(Image.fromarray(gradient()).convert("CMYK"), "JPEG", quality=95)
    np.testing.assert_array_equal(decode(without_adobe(content)).pixels, decode(content).pixels)
    assert np.abs(decode(content).pixels.astype(int) - gradient()).mean() < 4


@pytest.mark.parametrize(
    ("format", "mode"),
    [
        ("PNG", "RGB"),
        ("PNG", "RGBA"),
        ("PNG", "LA"),
        ("PNG", "L"),
        ("PNG", "P"),
        ("PNG", "1"),
        ("BMP", "RGB"),
        ("BMP", "P"),
        ("BMP", "L"),
        ("GIF", "P"),
    ],
)
def test_lossless_formats_become_rgb(format, mode):
    image = Image.fromarray(pixels(5)).convert(mode)
    found = decode(encoded(image, format))
    np.testing.assert_array_equal(found.pixels, np.asarray(image.convert("RGB")))
    assert bool(found.conversions) == (mode != "RGB") and found.size == (52, 40)


def test_alpha_is_dropped_and_the_colour_below_it_stays():
    image = Image.fromarray(pixels(6))
    image.putalpha(0)
    for format, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True})):
        np.testing.assert_array_equal(decode(encoded(image, format, **options)).pixels, pixels(6))


@pytest.mark.parametrize("level", [0, 255, 256, 40_000, 65_535])
def test_sixteen_bits_keep_the_higher_eight(level):
    found = decode(encoded(np.full((4, 4), level, "uint16")))
    assert (found.pixels == level >> 8).all() and found.pixels.shape == (4, 4, 3)
    assert found.conversions == ("Converted {} from 16 bits per channel to 8",)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_the_exif_orientation_is_applied(orientation, format):
    upright = pixels(7, 24, 32)
    # What a camera stores for each orientation is the upright picture turned the other way.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decode(encoded(np.ascontiguousarray(stored), format, exif=exif, quality=100))
    assert found.pixels.shape == upright.shape
    assert np.abs(found.pixels.astype(int) - upright).mean() < 4
    assert ("Turned {} upright, as their EXIF orientation says" in found.conversions) == (
        orientation > 1
    )


def test_exif_that_cannot_be_read_turns_nothing():
    content = encoded(pixels(8), "JPEG", exif=b"Exif\0\0nonsense")
    assert decode(content).pixels.shape == (40, 52, 3)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation_counts(format):
    frames = [Image.fromarray(np.full((8, 8, 3), level, "uint8")) for level in (40, 200, 90)]
    options = {"lossless": True} if format == "WEBP" else {}
    found = decode(encoded(frames[0], format, save_all=True, append_images=frames[1:], **options))
    assert (found.pixels == 40).all()
    assert "Took the first frame of {}, which are animations" in found.conversions


def test_the_content_decides_about_the_format_and_others_are_refused(tmp_path):
    path = tmp_path / "named.jpg"
    path.write_bytes(encoded(pixels(9)))
    assert decode(str(path)).format == "PNG"
    path.write_bytes(encoded(pixels(9), "TIFF"))
    with pytest.raises(Exception, match="cannot identify"):
        decode(str(path))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "WEBP"])
def test_damage_is_named_or_changes_pixels_only(format):
    content, rng, refused = encoded(pixels(0, 24, 24), format), np.random.default_rng(0), 0
    damaged = []
    for attempt in range(60):
        if attempt % 2:
            damaged.append(content[: rng.integers(0, len(content))])
        else:
            place = rng.integers(0, len(content))
            damaged.append(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for found in decode_all(damaged):
            refused += bool(found.error)
            assert (found.pixels is None) == bool(found.error)
    assert refused > 20


def test_threads_keep_the_order_and_read_little_ahead():
    taken = []

    def sources():
        for number in range(3000):
            taken.append(number)
            yield np.full((2, 2, 3), number % 256, "uint8") if number % 7 else b""

    for number, found in enumerate(decode_all(sources(), lambda image: image[:1])):
        assert len(taken) - number < 1200
        if number % 7:
            assert found.pixels.shape == (1, 2, 3) and found.pixels[0, 0, 0] == number % 256
        else:
            assert found.error and found.pixels is None


def test_names_from_the_disk_are_text_whatever_their_encoding():
    assert file_text("Käfer") == "Käfer"
    assert file_text(b"K\xe4fer".decode("utf-8", "surrogateescape")) == "Käfer"


# Crop and size


def weights(size, new_size):
    """Triangles in half-pixel coordinates, as wide as a new pixel where the image shrinks."""
    scale = size / new_size
    centres = (np.arange(new_size)[:, None] + 0.5) * scale
    distance = np.abs(np.arange(size) + 0.5 - centres) / max(scale, 1.0)
    triangles = np.maximum(0.0, 1.0 - distance)
    return triangles / triangles.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("height", "width"), [(40, 53), (61, 32), (16, 16), (9, 7), (375, 500)])
def test_crop_and_resize_equals_its_twin(height, width):
    image = pixels(1, height, width)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side].astype("float64")
    matrix = weights(side, 16)
    expected = np.rint(np.einsum("yh,xw,hwc->yxc", matrix, matrix, square))
    difference = np.abs(crop_and_resize(image, 16).astype(int) - expected)
    assert difference.max() <= 1 and (difference > 0).mean() < 0.2  # Pillow rounds after each axis


def test_a_worked_example():
    row = np.array([9, 9, 0, 100, 200, 40, 9, 9], "uint8")  # the middle four columns are kept
    image = np.broadcast_to(row[None, :, None], (4, 8, 3))
    # Weights 3/8, 3/8, 1/8 at the border of the image and 1/8, 3/8, 3/8, 1/8 inside, made to add up to 1.
    left = (3 * 0 + 3 * 100 + 1 * 200) / 7
    right = (1 * 100 + 3 * 200 + 3 * 40) / 7
    np.testing.assert_array_equal(crop_and_resize(image, 2)[0, :, 0], np.rint([left, right]))


def test_an_image_of_the_right_size_stays_as_it_is():
    np.testing.assert_array_equal(crop_and_resize(pixels(3, 32, 32), 32), pixels(3, 32, 32))


def test_flips_mirror_half_of_the_images_and_depend_on_seed_and_step_alone():
    batch = np.stack([pixels(seed, 8, 8) for seed in range(64)])
    first = flip_at_random(batch, 3, 5).numpy()
    pairs = list(zip(first, batch, strict=True))
    is_mirrored = np.array([np.array_equal(a, b[:, ::-1]) for a, b in pairs])
    is_kept = np.array([np.array_equal(a, b) for a, b in pairs])
    assert (is_mirrored ^ is_kept).all() and 16 < is_mirrored.sum() < 48
    np.testing.assert_array_equal(flip_at_random(batch, 3, tf.constant(5, tf.int64)), first)
    for seed, step in ((4, 5), (3, 6)):
        assert not np.array_equal(flip_at_random(batch, seed, step), first)


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
