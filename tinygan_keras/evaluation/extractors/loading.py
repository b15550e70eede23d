"""The feature extractors by name: a folder, a TensorFlow Hub handle, or one of two Inception networks.

Scope: from a name to a `FeatureExtractor` with the size, range and kernel that belong to it.
"""

import difflib
import os
from pathlib import Path

from ...errors import InputError, MissingFileError
from ...teachers import download
from . import keras_inception, resizing
from .classifiers import ROLE, Classifier, load_folder, load_saved_model
from .extractor import FeatureExtractor

INCEPTION = "inception"
INCEPTION_HANDLE = "https://tfhub.dev/tensorflow/tfgan/eval/inception/1"
KERAS_INCEPTION = keras_inception.NAME
NAMES = (INCEPTION, KERAS_INCEPTION)

_INCEPTION_SIZES = {"input_size": 299, "feature_dim": 2048, "num_classes": 1008}
# TF-GAN's CIFAR example brings images to its Inception with `tf.image.resize` and this method.
_INCEPTION_KERNEL = "bilinear"
_SMALL_BATCH, _LARGE_BATCH = 50, 250
_SMALL_IMAGE = 64


def load_extractor(
    name,
    resize: str | None = None,
    batch_size: int | None = None,
    input_size: int | None = None,
) -> FeatureExtractor:
    """Loads a feature extractor.

    Args:
        name: One of
            - the folder of a SavedModel or TF1 Hub module, such as "saved_models/fashion_classifier";
            - a TensorFlow Hub handle, "https://...";
            - "inception", the Inception network with which TF-GAN measures, from TensorFlow Hub: 299
              pixels, features `pool_3` of 2048 floats, 1008 logits;
            - "keras_inception_v3", `keras.applications.InceptionV3`: 299 pixels, its average pool of 2048
              floats, 1000 logits.
            Every one of them gets float images in [-1, 1]. A folder that is called like one of the two
            names goes by "./inception".
        resize: Kernel for images of another size, see `FeatureExtractor`. None is "bilinear" without
            antialias for the two Inception networks, as in TF-GAN's examples, and refuses such images for
            all others.
        batch_size: Images per call of the classifier. None is 250, or 50 for images beyond 64 pixels.
        input_size: Pixels per side, for a folder or handle that takes every size.

    Returns:
        A `FeatureExtractor`. Its `name` is what was given, for a folder its last component.

    Raises:
        FileNotFoundError: neither a name nor a folder with a SavedModel nor a URL.
        ValueError: the module takes or returns something else, or `resize` is unknown.
        OSError: the download failed; the message says how to place a copy by hand.

    Example:
        extractor = load_extractor("inception")
        features, logits = extractor(images)
    """
    if resize is not None:  # before a download
        resizing.check_kernel(resize)
    name = os.fspath(name)
    if name in (*NAMES, INCEPTION_HANDLE):
        _check_own_size(name, input_size)
        classifier = (
            keras_inception.load_keras_inception_v3() if name == KERAS_INCEPTION else _inception()
        )
        resize = resize or _INCEPTION_KERNEL
    elif "://" in name:
        classifier = load_saved_model(download.locate(name, ROLE), name, input_size)
    elif not Path(name).expanduser().exists():
        raise MissingFileError(_unknown(name))
    else:
        classifier = load_folder(name, input_size)
    if batch_size is None:
        batch_size = _LARGE_BATCH if classifier.input_size <= _SMALL_IMAGE else _SMALL_BATCH
    return FeatureExtractor(classifier, batch_size, resize)


def _inception() -> Classifier:
    folder = download.locate(INCEPTION_HANDLE, ROLE)
    # Its graph takes images of every size, for it was made to run on TPUs.
    classifier = load_saved_model(folder, INCEPTION, _INCEPTION_SIZES["input_size"])
    found = {key: getattr(classifier, key) for key in _INCEPTION_SIZES}
    if found != _INCEPTION_SIZES:
        raise InputError(
            f"Got a module with {found} in {folder}; {INCEPTION_HANDLE} has {_INCEPTION_SIZES}. Another "
            "module's files were placed there: delete the folder and fetch it again."
        )
    return classifier


def _check_own_size(name, input_size):
    own_size = _INCEPTION_SIZES["input_size"]
    if input_size not in (None, own_size):
        raise InputError(
            f"Got input_size={input_size} for {name}. Expected None or {own_size}, the size it was "
            "trained with; images of another size are resized to it."
        )


def _unknown(name) -> str:
    near = difflib.get_close_matches(name, NAMES, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return (
        f"Got the {ROLE} {name!r}, which is no name, no URL and no folder. Expected one of "
        f"{', '.join(NAMES)}; a TensorFlow Hub handle that starts with https://; or the folder of a "
        f"SavedModel, such as saved_models/fashion_classifier.{hint}"
    )
