"""The nine handles, the misspelt ones, and the truncations each takes."""

import re

import pytest

from tinygan_keras.teachers.catalog import DEEPMIND, check_truncation, did_you_mean

BIGGAN = "https://tfhub.dev/deepmind/biggan-128/2"
BIGGAN_DEEP = "https://tfhub.dev/deepmind/biggan-deep-128/1"


@pytest.mark.parametrize(
    ("name", "latent_dim", "image_size"),
    [
        ("biggan-128/1", 120, 128),
        ("biggan-256/1", 140, 256),
        ("biggan-512/1", 128, 512),
        ("biggan-128/2", 120, 128),
        ("biggan-256/2", 140, 256),
        ("biggan-512/2", 128, 512),
        ("biggan-deep-128/1", 128, 128),
        ("biggan-deep-256/1", 128, 256),
        ("biggan-deep-512/1", 128, 512),
    ],
)
def test_each_module_is_described(name, latent_dim, image_size):
    entry = DEEPMIND[f"https://tfhub.dev/deepmind/{name}"]
    assert (entry.latent_dim, entry.image_size, entry.num_classes) == (latent_dim, image_size, 1000)
    assert entry.truncation_range == ((0.0, 1.0) if "deep" in name else (0.02, 1.0))


def test_there_are_nine_modules():
    assert len(DEEPMIND) == 9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("biggan-deep-128", BIGGAN_DEEP),
        ("BigGAN-deep-128/1", BIGGAN_DEEP),
        ("https://tfhub.dev/deepmind/biggan-deep-128/1/", BIGGAN_DEEP),
        ("https://tfhub.dev/deepmind/bigan-deep-128/1", BIGGAN_DEEP),
        ("https://tfhub.dev/deepmid/biggan-128/2", BIGGAN),
        ("https://tfhub.dev/deepmind/biggan-deep-128/2", BIGGAN_DEEP),
    ],
)
def test_misspelt_handle_finds_the_meant_one(text, expected):
    assert did_you_mean(text).startswith(
        (f" Did you mean {expected}?", f" Did you mean {expected} or ")
    )


@pytest.mark.parametrize(
    "text", ["https://tfhub.dev/google/nnlm-en-dim128/2", "saved_models/biggan_fashion_32", "x"]
)
def test_other_names_find_nothing(text):
    assert did_you_mean(text) == ""


@pytest.mark.parametrize(
    ("handle", "truncation"),
    [(BIGGAN, 0.02), (BIGGAN, 1), (BIGGAN_DEEP, 0), (BIGGAN_DEEP, 1.0), ("folder", 0)],
)
def test_truncation_in_range_is_returned(handle, truncation):
    assert check_truncation(truncation, handle) == truncation


@pytest.mark.parametrize(
    ("handle", "truncation", "expected"),
    [
        (BIGGAN, 0.01, "[0.02, 1]"),
        (BIGGAN, 1.5, "[0.02, 1]"),
        (BIGGAN_DEEP, -0.1, "[0, 1]"),
        ("folder", 2.0, "[0, 1]"),
        ("folder", float("nan"), "[0, 1]"),
        ("folder", "0.5", "[0, 1]"),
        ("folder", True, "[0, 1]"),
        ("folder", None, "[0, 1]"),
    ],
)
def test_truncation_out_of_range_is_refused(handle, truncation, expected):
    with pytest.raises(ValueError, match=re.escape(f"{handle} expects a number in {expected}")):
        check_truncation(truncation, handle)
