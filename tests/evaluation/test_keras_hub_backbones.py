"""Backbones of KerasHub as extractors: genuine ones, small and with random weights."""

import sys

import keras
import numpy as np
import pytest
from PIL import Image

from tinygan_keras.data.image_sets import ArrayImages
from tinygan_keras.evaluation.evaluate import evaluate
from tinygan_keras.evaluation.extractors.extractor import load_extractor
from tinygan_keras.evaluation.metrics.kernel import rbf_kernel_distance

SIZE, TINY = 28, {"hidden_dim": 8, "num_layers": 1, "num_heads": 2, "intermediate_dim": 16}
KINDS = ("clip", "dinov2", "siglip")
needs_keras_hub = pytest.mark.keras_hub


def make(kind):
    from keras_hub import models

    keras.utils.set_random_seed(1)
    vision = {**TINY, "patch_size": 7, "image_shape": (SIZE, SIZE, 3)}
    text = {**TINY, "vocabulary_size": 10, "embedding_dim": 8, "max_sequence_length": 4}
    if kind == "dinov2":
        return models.DINOV2Backbone(**vision, position_embedding_shape=(SIZE, SIZE))
    if kind == "clip":
        return models.CLIPBackbone(
            models.CLIPVisionEncoder(**vision), models.CLIPTextEncoder(**text), 6
        )
    return models.SigLIPBackbone(
        models.SigLIPVisionEncoder(**vision), models.SigLIPTextEncoder(**text)
    )


@pytest.fixture(scope="module")
def presets(tmp_path_factory):
    """A folder per kind, as `save_to_preset` writes them; and the backbones."""
    folder = tmp_path_factory.mktemp("presets")
    backbones = {kind: make(kind) for kind in KINDS}
    for kind, backbone in backbones.items():
        backbone.save_to_preset(str(folder / kind))
    return folder, backbones


def pictures(count=6, size=SIZE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype="uint8")


def reference(kind, backbone, images):
    """The features by the backbone itself, of images in [0, 1] less mean and over deviation."""
    mean, deviation = {
        "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
        "dinov2": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "siglip": (0.5, 0.5),
    }[kind]
    inputs = ((images / 255 - mean) / deviation).astype("float32")
    if kind == "clip":
        embeddings = np.array(backbone.get_vision_embeddings(inputs))
        return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    if kind == "dinov2":
        return np.array(backbone({"images": inputs}))[:, 0]
    return np.array(backbone.vision_encoder({"images": inputs}))


@needs_keras_hub
@pytest.mark.parametrize("kind", KINDS)
def test_features_are_those_of_the_backbone(presets, kind):
    folder, backbones = presets
    extractor = load_extractor(f"keras_hub:{folder / kind}")
    assert (extractor.kind, extractor.input_size, extractor.num_classes) == (kind, SIZE, 0)
    features, logits = extractor(pictures())
    assert features == pytest.approx(reference(kind, backbones[kind], pictures()), abs=1e-5)
    assert logits.shape == (6, 0) and extractor.feature_dim == features.shape[1]
    assert load_extractor(f"keras_hub:{folder / kind}").hash == extractor.hash


@needs_keras_hub
def test_images_are_resized_as_by_pillow(presets):
    folder, backbones = presets
    large, small = pictures(2, 64), np.empty((2, SIZE, SIZE, 3))
    for place in np.ndindex(2, 3):
        channel = Image.fromarray(large[place[0], ..., place[1]].astype("float32"))
        resized = channel.resize((SIZE, SIZE), Image.BICUBIC)
        small[place[0], ..., place[1]] = np.clip(resized, 0, 255)
    features, _ = load_extractor(f"keras_hub:{folder / 'siglip'}")(large)
    assert features == pytest.approx(reference("siglip", backbones["siglip"], small), abs=1e-4)


@needs_keras_hub
def test_dinov2_takes_every_multiple_of_its_patches(presets):
    folder, _ = presets
    name = f"keras_hub:{folder / 'dinov2'}"
    extractor = load_extractor(name, input_size=14)
    assert extractor.input_size == 14 and extractor(pictures(2, 14))[0].shape == (2, 8)
    assert extractor.hash != load_extractor(name).hash
    with pytest.raises(ValueError, match="patches of 7 pixels"):
        load_extractor(name, input_size=15)
    with pytest.raises(ValueError, match="input_size=14 for keras_hub:.*Expected 28"):
        load_extractor(f"keras_hub:{folder / 'clip'}", input_size=14)


@needs_keras_hub
def test_an_evaluation_by_clip_has_cmmd_and_no_logits(presets):
    folder, _ = presets
    extractor = load_extractor(f"keras_hub:{folder / 'clip'}")
    made, real = (
        ArrayImages(pictures(40, seed=seed), np.arange(40) % 4, None, "p") for seed in (1, 2)
    )
    names = ["default", "cmmd", "rbf_kernel_distance"]
    with pytest.warns(UserWarning, match="has no logits: left out are Inception score"):
        result = evaluate(made, extractor, real, metrics=names, progress=False)
    features = [extractor(images.read(0, 40))[0] for images in (real, made)]
    value, _ = rbf_kernel_distance(*features, 10, True)
    assert result["figures"]["cmmd"] == pytest.approx(1000 * value, rel=1e-4)
    assert {"rbf_kernel_distance_error", "frechet_distance"} <= set(result["figures"])
    assert result["protocol"]["cmmd"] == {"width": 10, "scale": 1000}


@needs_keras_hub
def test_cmmd_by_another_extractor_is_refused(presets):
    folder, _ = presets
    images = ArrayImages(pictures(20), None, None, "p")
    extractor = load_extractor(f"keras_hub:{folder / 'dinov2'}")
    with pytest.raises(ValueError, match="The extractor is no CLIP"):
        evaluate(images, extractor, images, metrics="cmmd", progress=False)
    with pytest.raises(ValueError, match="The extractor has no logits"):
        evaluate(images, extractor, images, metrics="inception_score", progress=False)


@needs_keras_hub
def test_a_name_that_is_no_preset_and_another_backbone_are_refused(tmp_path):
    from keras_hub import models

    with pytest.raises(FileNotFoundError, match="keras_hub:dinov9.*can't be loaded"):
        load_extractor("keras_hub:dinov9")
    layers = [64], [3], [64], [1], [1]
    other = models.ResNetBackbone(*layers, "basic_block", image_shape=(32, 32, 3))
    other.save_to_preset(str(tmp_path / "resnet"))
    with pytest.raises(ValueError, match="ResNetBackbone. Expected one of CLIPBackbone"):
        load_extractor(f"keras_hub:{tmp_path / 'resnet'}")


def test_without_keras_hub_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ImportError, match=r"tinygan-keras\[keras-hub\]"):
        load_extractor("keras_hub:dinov2_base")
