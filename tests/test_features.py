import shutil

import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras.data.fashion_mnist import load_fashion_mnist_subset
from tinygan_keras.data.images import to_float
from tinygan_keras.evaluation.features import FeatureExtractor
from tinygan_keras.evaluation.metrics.labels import label_accuracy

SIZE = 4


class TinyClassifier(tf.Module):
    """Features are the mean colour and a constant; logits are three times the features."""

    def __init__(self):
        super().__init__()
        self.factor = tf.Variable(3.0)

    def classify(self, images):
        colour = tf.reduce_mean(images, (1, 2))
        features = tf.concat([colour, tf.ones_like(colour[:, :1])], -1)
        return {"features": features, "logits": self.factor * features}


def write_classifier(folder, signature="serving_default", size=SIZE, outputs=None):
    module = TinyClassifier()

    def function(images):
        result = module.classify(images)
        return {name: result[name] for name in outputs or result}

    spec = tf.TensorSpec((None, size, size, 3), name="images")
    concrete = tf.function(function).get_concrete_function(images=spec)
    tf.saved_model.save(module, str(folder), signatures={signature: concrete})
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_classifier(tmp_path_factory.mktemp("classifiers") / "tiny")


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
    with pytest.raises(ValueError, match=r"Expected finite values in \[-1, 1\]"):
        extractor(sample)


@pytest.mark.parametrize(
    "shape", [(0, SIZE, SIZE, 3), (2, 8, 8, 3), (2, SIZE, SIZE, 1), (SIZE, SIZE, 3)]
)
def test_other_shapes_are_rejected(extractor, shape):
    with pytest.raises(ValueError, match=r"Expected at least one image, \(N, 4, 4, 3\)"):
        extractor(np.zeros(shape, "uint8"))


def test_other_integers_are_rejected(extractor):
    with pytest.raises(ValueError, match="int64"):
        extractor(images(2).astype("int64"))


def test_hash_follows_what_determines_the_outputs(folder, extractor, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "model_card.md").write_text("a word")
    assert FeatureExtractor(copy).hash == extractor.hash
    assert len(extractor.hash) == 64

    weights = copy / "variables" / "variables.data-00000-of-00001"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    from tinygan_keras.evaluation.features import _content_hash

    assert _content_hash(copy) != extractor.hash


def test_missing_folder_names_the_script_that_writes_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="train_classifier.py"):
        FeatureExtractor(tmp_path / "nowhere")


def test_another_signature_is_rejected(tmp_path):
    folder = write_classifier(tmp_path / "other", signature="classify")
    with pytest.raises(ValueError, match=r"has the signatures \['classify'\]"):
        FeatureExtractor(folder)


def test_missing_output_is_rejected(tmp_path):
    folder = write_classifier(tmp_path / "logits", outputs=["logits"])
    with pytest.raises(ValueError, match="Expected 'features'"):
        FeatureExtractor(folder)


def test_flexible_image_size_is_rejected(tmp_path):
    folder = write_classifier(tmp_path / "flexible", size=None)
    with pytest.raises(ValueError, match="images of a fixed size"):
        FeatureExtractor(folder)


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
