"""Keeps the statistics of real images in Keras' home folder, so that they are measured once."""

import dataclasses
import hashlib
import json
import os
import warnings
from pathlib import Path

from .reference import MAX_FEATURES, ReferenceStatistics, load_reference, measure_reference

_FORMAT = 2  # of the files; older ones are measured anew


def cached_reference(images, extractor, folder=None, progress=True) -> ReferenceStatistics:
    """The statistics of an image source, measured the first time and read from then on.

    Args:
        images: See `measure_reference`.
        extractor: A `FeatureExtractor`.
        folder: Where files are kept; None for `tinygan_keras/references` in Keras' home folder
            (`$KERAS_HOME`, or `~/.keras`). A file is named after the hashes of images and extractor.
        progress: Show a progress bar while measuring.
    """
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    folder = Path(folder or Path(home, "tinygan_keras", "references"))
    wanted = {**extractor.protocol(images.image_size), "images": images.fingerprint}
    wanted |= {"format": _FORMAT, "max_features": MAX_FEATURES}
    del wanted["extractor"]  # a folder may be moved
    name = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:24]
    path = folder / f"{name}.npz"
    if path.is_file():
        try:
            return _as_named_here(load_reference(path), images)
        except ValueError as error:
            warnings.warn(f"{error} It is measured anew now.", stacklevel=2)
    statistics = measure_reference(images, extractor, progress=progress)
    try:
        statistics.save(path)
    except OSError as error:
        warnings.warn(f"The reference statistics can't be kept in {path}: {error}", stacklevel=2)
    return statistics


def _as_named_here(reference, images):
    """What the file was measured from may have had another name, and other names of classes."""
    protocol = {**reference.protocol, "real_source": images.name, "notes": list(images.warnings)}
    return dataclasses.replace(reference, protocol=protocol, class_names=images.class_names)
