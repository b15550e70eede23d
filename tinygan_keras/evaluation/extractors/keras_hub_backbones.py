"""DINOv2, CLIP and SigLIP from KerasHub as feature extractors, with the preprocessing of their own papers.

Rejected: KerasHub's image converters, which resize with TensorFlow's kernels and without antialiasing.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from ...errors import InputError, MissingFileError, MissingPackageError, UnusableFileError
from ...files import content_hash
from ...teachers.module_graph import outside
from .classifiers import Classifier

PREFIX = "keras_hub:"
RESIZE = "pillow:bicubic"  # what all three resize with
_DINO_SIZE = 224  # pixels that DINOv2 was evaluated with; it takes every multiple of its patches


class _Kind(NamedTuple):
    """How features are taken from a backbone of KerasHub."""

    name: str
    features: Callable  # from the backbone and images to `[B, F]`
    size: Callable  # from the backbone to the pixels that it takes
    mean: tuple  # of the channels in [0, 1], subtracted
    deviation: tuple  # and divided by


_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_KINDS = {
    "CLIPBackbone": _Kind(
        "clip",
        lambda backbone, images: tf.math.l2_normalize(backbone.get_vision_embeddings(images), -1),
        lambda backbone: backbone.vision_encoder.image_shape[0],
        *_CLIP,
    ),
    "DINOV2Backbone": _Kind(
        "dinov2",
        lambda backbone, images: backbone({"images": images}, training=False)[:, 0],
        lambda backbone: backbone.image_shape[0],
        *_IMAGENET,
    ),
    "SigLIPBackbone": _Kind(
        "siglip",
        lambda backbone, images: backbone.vision_encoder({"images": images}, training=False),
        lambda backbone: backbone.vision_encoder.image_shape[0],
        (0.5, 0.5, 0.5),
        (0.5, 0.5, 0.5),
    ),
}
"""CLIP's features are its image embeddings of length 1 (Radford et al., arXiv:2103.00020), DINOv2's its class
token (Oquab et al., arXiv:2304.07193), SigLIP's what its attention pools (Zhai et al., arXiv:2303.15343).
"""


def load_keras_hub(name: str, input_size: int | None = None) -> Classifier:
    """Loads a backbone as a `Classifier` without logits.

    Args:
        name: "keras_hub:" and a preset such as "dinov2_base", "clip_vit_large_patch14_336" or
            "siglip_base_patch16_224", a name with "hf://" or "kaggle://", or a folder that `save_to_preset`
            wrote.
        input_size: Pixels per side, for DINOv2 only, which takes every multiple of its patches; by default
            224. The others take one size.

    Raises:
        MissingPackageError: KerasHub isn't installed.
        MissingFileError: there is no such preset.
        UnusableFileError: it couldn't be downloaded or read.
        InputError: another kind of backbone, or a size that it doesn't take.
    """
    preset = name.removeprefix(PREFIX)
    backbone = outside(_build, preset, input_size)
    return as_classifier(backbone, name, input_size)


def as_classifier(backbone, name: str, input_size: int | None = None) -> Classifier:
    """A backbone of KerasHub, loaded or made by hand, as a `Classifier` without logits."""
    kind = _KINDS.get(type(backbone).__name__)
    if kind is None:
        raise InputError(
            f"Got {name}, a {type(backbone).__name__}. Expected one of {', '.join(_KINDS)}, whose features "
            "are known to be those of whole images. Choose another preset."
        )
    size = kind.size(backbone)
    if input_size not in (None, size):
        raise InputError(
            f"Got input_size={input_size} for {name}. Expected {size}, the size that it takes. Leave it out: "
            "images of another size are resized."
        )
    mean, deviation = (tf.constant(values, tf.float32) for values in (kind.mean, kind.deviation))

    @tf.function(autograph=False)
    def classify(images):
        features = kind.features(backbone, ((images + 1) / 2 - mean) / deviation)
        features = tf.cast(features, tf.float32)
        return features, tf.zeros([tf.shape(features)[0], 0])

    length = classify(tf.zeros([1, size, size, 3]))[0].shape[-1]
    weights = [keras.ops.convert_to_numpy(weight) for weight in backbone.weights]
    digest = content_hash(type(backbone).__name__, size, kind.mean, kind.deviation, *weights)
    return Classifier(classify, size, length, 0, digest, name, owner=backbone, kind=kind.name)


def _build(preset, input_size):
    """The backbone, built in a thread of its own by `outside`: policies are kept per thread."""
    try:
        import keras_hub
    except ImportError as error:
        raise MissingPackageError(
            f"Got {PREFIX}{preset} and no KerasHub. Expected it installed: pip install "
            f"'tinygan-keras[keras-hub]'. It said: {error}"
        ) from error
    keras.config.set_dtype_policy("float32")  # the caller's may be half precision
    if "://" not in preset:
        preset = os.path.expanduser(preset)
    backbone = _from_preset(keras_hub.models.Backbone, preset)
    size = _wanted_size(backbone, input_size)
    if size is None:
        return backbone
    # Again, as loading is what fits the embeddings of positions to a size.
    return _from_preset(type(backbone), preset, image_shape=(size, size, 3))


def _from_preset(backbone_class, preset, **options):
    try:
        return backbone_class.from_preset(preset, **options)
    except (ValueError, FileNotFoundError) as error:
        raise MissingFileError(
            f"Got {PREFIX}{preset}, which can't be loaded: {_first_line(error)} Expected a preset of "
            "KerasHub such as dinov2_base, hf://OWNER/NAME, or a folder of save_to_preset. Check the name."
        ) from error
    except Exception as error:  # what Kaggle and the Hub raise has no common parent
        raise UnusableFileError(
            f"Got no weights for {PREFIX}{preset}: {type(error).__name__}: {_first_line(error)} Expected a "
            "download; or, without a network, a folder that save_to_preset wrote elsewhere."
        ) from error


def _wanted_size(backbone, input_size) -> int | None:
    """The size of images that a DINOv2 is to take, if it is another than its own."""
    if type(backbone).__name__ != "DINOV2Backbone":
        return None
    patch, own = backbone.patch_size, backbone.image_shape[0]
    fits = own >= _DINO_SIZE and not _DINO_SIZE % patch
    size = input_size or (_DINO_SIZE if fits else own)
    if size % patch:
        raise InputError(
            f"Got input_size={size} for a backbone with patches of {patch} pixels. Expected a multiple of "
            "these. Leave it out."
        )
    return None if size == own else size


def _first_line(error) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".") + "."
