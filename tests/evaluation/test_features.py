import numpy as np
import pytest
import tensorflow as tf
from extractor_fixtures import write_colour_classifier

from tinygan_keras.data.keras_sets import load_fashion_mnist_subset
from tinygan_keras.evaluation.extractors.classifiers import Classifier
from tinygan_keras.evaluation.extractors.extractor import FeatureExtractor
from tinygan_keras.evaluation.metrics.logits import label_accuracy
from tinygan_keras.images import to_float, to_uint8

SIZE = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_colour_classifier(tmp_path_factory.mktemp("classifiers") / "tiny", SIZE)


@pytest.fixture(scope="module")
def extractor(folder):
    return FeatureExtractor(folder, batch_size=4)


def images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3), "uint8")


def test_sizes_are_read_from_the_signature(extractor):
    assert (extractor.input_size, extractor.feature_dim, extractor.num_classes) == (SIZE, 4, 4)


@pytest.mark.parametrize("count", [1, 4, 10])
def test_every_image_gets_its_own_row_whatever_the_batch(extractor, count):
    sample = images(count)
    features, logits = extractor(sample)
    assert features.dtype == logits.dtype == np.float32
    assert features[:, :3] == pytest.approx(to_float(sample).mean((1, 2)), abs=1e-6)
    assert logits == pytest.approx(3 * features)
    assert logits.shape == (count, 4)


def test_float_images_give_what_their_uint8_levels_give(extractor):
    sample = images(6)
    between_levels = to_float(sample) + np.float32(0.4 / 127.5)
    exact, _ = extractor(sample)
    rounded, _ = extractor(np.clip(between_levels, -1, 1))
    assert np.array_equal(exact, rounded)


@pytest.mark.parametrize("value", [1.1, -2.0, 255.0, np.nan, np.inf, -np.inf])
def test_values_out_of_range_are_rejected(extractor, value):
    sample = to_float(images(5))
    sample[4, 0, 0, 0] = value
    with pytest.raises(ValueError, match=r"image 4\. Expected finite values in \[-1, 1\]"):
        extractor(sample)


def test_values_between_two_levels_of_the_last_one_are_not_out_of_range(extractor):
    sample = np.full((1, SIZE, SIZE, 3), 1.0005, "float32")
    assert np.array_equal(extractor(sample)[0], extractor(np.full_like(sample, 255, "uint8"))[0])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_every_float_type_is_taken(extractor, dtype):
    sample = to_float(images(5)).astype(dtype)
    assert np.array_equal(extractor(sample)[0], extractor(to_uint8(sample))[0])


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((0, SIZE, SIZE, 3), r"\(0, 4, 4, 3\) .*at least one"),
        ((SIZE, SIZE, 3), r"\(4, 4, 3\) .*Expected uint8 \[N, S, S, 3\]"),
        ((2, SIZE, SIZE, 1), r"\(2, 4, 4, 1\) .*Expected uint8 \[N, S, S, 3\]"),
        ((2, 8, 8, 3), r'8x8 pixels\. Expected 4x4.*resize="bilinear"'),
        ((2, SIZE, 8, 3), r"\(2, 4, 8, 3\) .*Expected uint8 \[N, S, S, 3\]"),
    ],
)
def test_other_shapes_are_rejected(extractor, shape, message):
    with pytest.raises(ValueError, match=message):
        extractor(np.zeros(shape, "uint8"))


def test_other_integers_are_rejected(extractor):
    with pytest.raises(ValueError, match="int64"):
        extractor(images(2).astype("int64"))


@pytest.mark.parametrize("batch_size", [0, -1])
def test_impossible_batch_size_is_rejected(folder, batch_size):
    with pytest.raises(ValueError, match=f"batch_size={batch_size}"):
        FeatureExtractor(folder, batch_size)


def test_features_that_are_not_finite_are_counted_and_the_first_is_named():
    def classify(batch):
        return tf.math.log(batch[:, 0, 0] + 1), batch[:, 0, 0]  # no number for black

    extractor = FeatureExtractor(Classifier(classify, SIZE, 3, 3, "no hash", "log"), batch_size=4)
    sample = np.full((6, SIZE, SIZE, 3), 9, "uint8")
    sample[[2, 5]] = 0
    with pytest.raises(ValueError, match="not finite for 2 of 6 images, the first of them image 2"):
        extractor(sample)


# Resizing


def corner_pixel(size=2):
    """A classifier whose features are the pixel in the first corner, so that kernels can be told apart."""
    seen = []

    def classify(batch):
        seen.append(batch)
        return batch[:, 0, 0], batch[:, 0, 0]

    return Classifier(classify, size, 3, 3, "no hash", "corner"), seen


def test_rounding_comes_before_resizing():
    classifier, _ = corner_pixel(size=2)
    extractor = FeatureExtractor(classifier, batch_size=1, resize="area")
    levels = np.zeros((1, 4, 4, 3), "uint8")
    levels[0, 0, 0] = 1
    sample = to_float(levels) + np.float32(0.3 / 127.5)
    # Rounded first, the corner is the mean of the levels 1, 0, 0, 0. Rounded afterwards it were level 1.
    assert extractor(sample)[0] == pytest.approx(np.full((1, 3), 0.25 / 127.5 - 1), abs=1e-7)


def test_images_of_another_size_are_resized_by_the_kernel():
    classifier, seen = corner_pixel(size=2)
    extractor = FeatureExtractor(classifier, batch_size=2, resize="bicubic")
    columns = np.zeros((3, 4, 4, 3), "uint8")
    columns[:, :, 0] = 255  # one white column, so that the kernel's first weight can be read off
    features, _ = extractor(columns)
    assert features == pytest.approx(np.full((3, 3), 2 * 9 / 17 - 1), abs=1e-6)
    assert {tuple(batch.shape) for batch in seen} == {(2, 2, 2, 3)}


def test_images_of_the_right_size_are_not_resampled():
    classifier, seen = corner_pixel(size=SIZE)
    sample = images(2)
    FeatureExtractor(classifier, batch_size=2, resize="bicubic+antialias")(sample)
    assert np.array_equal(seen[0], to_float(sample))


def test_unknown_kernel_is_rejected_with_the_nearest_one(folder):
    with pytest.raises(ValueError, match=r"Did you mean 'bicubic\+antialias'\?"):
        FeatureExtractor(folder, resize="bicubic-antialias")


# The same images, the same features


def test_two_calls_are_equal_to_the_last_bit(repository):
    extractor = FeatureExtractor(repository / "saved_models/fashion_classifier", batch_size=8)
    sample = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), "uint8")
    features, logits = extractor(sample)
    for _ in range(3):
        again, logits_again = extractor(sample)
        assert np.array_equal(features, again) and np.array_equal(logits, logits_again)


@pytest.mark.parametrize(
    ("size", "resize"), [(32, None), (20, "bicubic"), (48, "bilinear+antialias")]
)
def test_features_do_not_depend_on_how_images_are_split_into_calls(repository, size, resize):
    folder = repository / "saved_models/fashion_classifier"
    extractor = FeatureExtractor(folder, batch_size=8, resize=resize)
    sample = np.random.default_rng(0).integers(0, 256, (43, size, size, 3), "uint8")
    whole = extractor(sample)
    for step in (8, 24):
        parts = [extractor(sample[start : start + step]) for start in range(0, 43, step)]
        for rows, part in zip(whole, zip(*parts, strict=True), strict=True):
            assert np.array_equal(rows, np.concatenate(part))


# The protocol


def test_protocol_names_the_extractor_and_never_a_path(folder, extractor):
    assert extractor.protocol() == {
        "extractor": "tiny",
        "extractor_hash": extractor.hash,
        "feature_dim": 4,
        "input_size": SIZE,
        "range": "[-1, 1], rounded to uint8",
        "resize": "none, images have this size",
    }
    assert str(folder.parent) not in str(extractor.protocol())


def test_name_of_a_folder_survives_a_slash_and_a_dot(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert FeatureExtractor(".").name == FeatureExtractor(f"{folder}/").name == "tiny"


@pytest.mark.parametrize(
    ("resize", "image_size", "expected"),
    [
        ("bilinear", SIZE, "none, images have this size"),
        ("bilinear", 8, "bilinear, antialias False, to 4"),
        ("bicubic+antialias", 32, "bicubic, antialias True, to 4"),
        ("area", 2, "area, antialias False, to 4"),
    ],
)
def test_protocol_says_what_resizing_images_of_a_size_get(folder, resize, image_size, expected):
    extractor = FeatureExtractor(folder, resize=resize)
    assert extractor.protocol(image_size)["resize"] == expected
    assert extractor.protocol(np.int64(image_size))["resize"] == expected


def test_protocol_refuses_the_sizes_that_a_call_refuses(extractor):
    with pytest.raises(ValueError, match="Got images of 8x8 pixels"):
        extractor.protocol(8)


# The embedded classifier


def test_embedded_classifier_knows_fashion_mnist(repository):
    extractor = FeatureExtractor(repository / "saved_models/fashion_classifier")
    assert (extractor.input_size, extractor.num_classes) == (32, 10)
    subset = load_fashion_mnist_subset(
        repository / "experiments/fashion_mnist/data/fashion_mnist_10k.npz"
    )
    features, logits = extractor(subset.images[:500])
    # Training images: the accuracy that counts, on test images, is in the model card.
    assert label_accuracy(logits, subset.labels[:500]) > 0.9
    assert features.shape == (500, extractor.feature_dim)
    assert 64 <= extractor.feature_dim <= 128


def test_embedded_classifier_is_small_and_has_a_card(repository):
    folder = repository / "saved_models/fashion_classifier"
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    assert size < 1.5e6
    card = (folder / "model_card.md").read_text(encoding="utf-8")
    accuracy = float(card.split("| test accuracy | ")[1].split("%")[0])
    assert accuracy >= 90
