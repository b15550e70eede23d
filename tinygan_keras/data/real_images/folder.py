"""Real images in a folder per class, of any size, read as they are needed: ImageNet as it comes."""

import functools
import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from ...classes.folder_labels import listed
from ...classes.mapping import map_classes
from ..shuffling import shuffled_indices
from .class_folders import list_class_folders
from .decoding import decode
from .headers import CHECKED_HEADERS, read_sizes
from .preprocessing import crop_and_resize
from .real_images import RealImages, fingerprint_of

_SHOWN = 5


class RealFolder(RealImages):
    """Real images in a folder with a sub-folder per class, or in its sub-folder `train`.

    Sub-folders are called by class numbers, wnids such as `n01440764`, or names of classes; see
    `class_mapping.map_classes`. Every image is found by its number, so that any batch can be read.

    Args:
        path: The folder.
        image_size, num_classes, class_names, classes: as in `RealImages`; `class_names` are the teacher's.
        checked_headers: How many files are opened before training starts.

    Attributes:
        path: The folder that the class folders lie in.
        files: Names of the images, relative to `path`.
        labels: int32 `[count]`, the teacher's class numbers.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: no images, classes that the teacher doesn't have, headers that can't be read.

    Example:
        real = RealFolder("imagenet", image_size=128, num_classes=1000, classes=range(398))
        print(real.report())
    """

    def __init__(
        self,
        path,
        image_size,
        num_classes,
        classes=None,
        class_names=None,
        checked_headers=CHECKED_HEADERS,
    ):
        found = list_class_folders(path)
        inner = found.path.relative_to(path).as_posix()  # "." or such as "train"
        name = Path(path).resolve().name + ("" if inner == "." else f"/{inner}")
        super().__init__(f"folder {name}", image_size, num_classes, class_names, classes)
        self.path = found.path
        self.found["path"] = str(found.path)
        folder_names = list(found.files)
        labels = map_classes(folder_names, num_classes, class_names, self.name)
        wanted = set(self._wanted())
        self.files, per_file, left_out = [], [], []
        for folder_name, label in zip(folder_names, labels.tolist(), strict=True):
            if label not in wanted:
                left_out.append(folder_name)
                continue
            images = found.files[folder_name]
            self.files += [f"{folder_name}/{image}" for image in images]
            per_file.append(np.full(len(images), label, "int32"))
        self.labels = np.concatenate([np.empty(0, "int32"), *per_file])
        self._describe(found, left_out)
        self._count_classes(self.labels)
        self._check_headers(checked_headers)

    @functools.cached_property
    def fingerprint(self) -> str:
        return fingerprint_of("\n".join(self.files), self.labels.astype("<i4"))

    def _describe(self, found, left_out):
        if left_out:
            images = sum(len(found.files[name]) for name in left_out)
            names = listed(left_out, _SHOWN)
            self.found["left out"] = (
                f"{images:,} images of {len(left_out):,} other classes: {names}"
            )
        if found.empty:
            self.found["empty folders"] = f"{len(found.empty):,}: {listed(found.empty, _SHOWN)}"
        if found.others:
            self.found["ignored files"] = f"{len(found.others):,}: {listed(found.others, _SHOWN)}"

    def _check_headers(self, checked_headers):
        checked, sizes = read_sizes(self.path, self.files, checked_headers)
        smallest, largest = (sizes[pick(sizes.prod(axis=1))] for pick in (np.argmin, np.argmax))
        every = "all files" if checked == self.count else f"{checked:,} files, spread evenly"
        sizes_text = " to ".join(
            dict.fromkeys("{}x{}".format(*size) for size in (smallest, largest))
        )
        self.found["sizes"] = f"{sizes_text} pixels, by the headers of {every}"
        small = int(np.count_nonzero(sizes.min(axis=1) < self.image_size))
        if small:
            self.warnings.append(
                f"{small:,} of {checked:,} images are smaller than {self.image_size} pixels and are enlarged."
            )

    def _stored_batches(self, batch_size, seed, start_step):
        files, labels = (
            tf.constant([os.fsencode(file) for file in self.files]),
            tf.constant(self.labels),
        )
        root = f"{self.path.as_posix()}/"

        def read(index):
            path = root + tf.gather(files, index)
            pixels = decode(tf.io.read_file(path), path)
            image = crop_and_resize(pixels, self.image_size)
            return tf.ensure_shape(image, (*(self.image_size,) * 2, 3)), tf.gather(labels, index)

        steps = tf.data.Dataset.counter(start_step, dtype=tf.int64)
        indices = steps.map(lambda step: shuffled_indices(step, batch_size, self.count, seed))
        images = indices.unbatch().map(read, num_parallel_calls=tf.data.AUTOTUNE)
        return images.batch(batch_size, drop_remainder=True)
