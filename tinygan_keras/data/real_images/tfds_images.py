"""Real images that TensorFlow Datasets has prepared: ImageNet, CIFAR-10 and others with labels.

The TFRecord files are read by ourselves, as they lie on the disk: the library has no order that depends on a
seed alone and can be entered at any step. What it knows, we take from it: files, counts, features, names.

Needs the extra `tfds`, and a data set that is prepared already: ImageNet can't be downloaded by a program,
and a run should not begin by downloading gigabytes without a word.
"""

import functools
import importlib
from pathlib import Path

import numpy as np
import tensorflow as tf

from ...classes.mapping import map_classes, names_by_label
from ...errors import InputError, MissingFileError, MissingPackageError
from ..shuffling import shuffled_records
from .decoding import decode
from .preprocessing import crop_and_resize
from .real_images import RealImages, fingerprint_of
from .tfds_labels import parse_label, shard_class_counts

_WINDOW_BYTES = (
    2**29
)  # of records that are shuffled together; up to three times as much is in memory
_MOST_SHARDS = 8
_NAME_FEATURES = ("file_name", "filename", "image/filename", "id")


class RealTfds(RealImages):
    """Real images from the shards of a prepared data set.

    Args:
        builder: `tfds.core.DatasetBuilder` with the features `image` and `label`.
        split: Name of a split.
        image_size, num_classes, classes, class_names: as in `RealImages`; `class_names` are the teacher's.

    Raises:
        ValueError: no such split, no labels, another file format, or classes that the teacher does not have.
    """

    def __init__(
        self, builder, split, image_size, num_classes, classes=None, class_names=None, progress=True
    ):
        title = f"tfds:{builder.info.full_name}, {split}"
        features = _checked_features(builder, title)
        names = features["label"].names
        self._ids = map_classes(names, num_classes, class_names, title, own_order=True)
        shown = names_by_label(names, self._ids, num_classes, class_names)
        super().__init__(title, image_size, num_classes, shown, classes)
        self._features, info = features, _split_info(builder, split, title)
        self._files, self._counts = [], []
        for file, count in zip(info.filepaths, info.shard_lengths, strict=True):
            if count:
                self._files.append(str(file))
                self._counts.append(count)
        self._window = max(
            1, min(_MOST_SHARDS, _WINDOW_BYTES * len(self._files) // max(1, info.num_bytes))
        )
        self.count = sum(self._counts)
        self._check_files()
        self._kept = None
        if classes is not None and set(self._ids) - set(self.classes):
            self._keep_classes(len(names), progress)
        shape = features["image"].shape
        fixed = None not in shape[:2]
        self.found["sizes"] = "{1}x{0} pixels".format(*shape[:2]) if fixed else "any, not looked at"
        self.found["files"] = f"{len(self._files):,} in {Path(self._files[0]).parent}"

    @functools.cached_property
    def fingerprint(self) -> str:
        names = "\n".join(Path(file).name for file in self._files)
        kept = self._ids if self._kept is None else np.where(self._kept, self._ids, -1)
        return fingerprint_of(self.name, names, np.array(self._counts), kept)

    def _check_files(self):
        missing = [file for file in self._files if not Path(file).is_file()]
        if missing:
            raise InputError(
                f"Got {self.name} without {len(missing)} of {len(self._files)} files, such as {missing[0]}. "
                "Expected all. Copy or prepare the data set again."
            )

    def _keep_classes(self, names, progress):
        """Counts the images of the wanted classes and forgets shards that have none."""
        counts = shard_class_counts(self._files, self._counts, names, progress)
        self._kept = np.isin(self._ids, self.classes)
        of_teacher = np.zeros(self.num_classes, "int64")
        np.add.at(of_teacher, self._ids[self._kept], counts[:, self._kept].sum(axis=0))
        self.found["left out"] = f"{self.count - of_teacher.sum():,} images of other classes"
        self._set_counts(of_teacher)
        per_shard = counts[:, self._kept].sum(axis=1)
        self._files = [file for file, count in zip(self._files, per_shard, strict=True) if count]
        self._counts = per_shard[per_shard > 0].tolist()

    def _stored_batches(self, batch_size, seed, start_step):
        files, ids = tf.constant(self._files), tf.constant(self._ids)
        kept = None if self._kept is None else tf.constant(self._kept)
        decoders = {"image": _tfds().decode.SkipDecoding()}

        def read_shard(shard):
            records = tf.data.TFRecordDataset(files[shard])
            if kept is None:
                return records
            return records.filter(lambda record: tf.gather(kept, parse_label(record)))

        def read(record):
            example = self._features.deserialize_example(record, decoders=decoders)
            pixels = decode(example["image"], self._name_of(example))
            if self._features["image"].shape[:2] == (28, 28):  # as MNIST is padded everywhere here
                pixels = tf.pad(pixels, ((2, 2), (2, 2), (0, 0)))
            image = crop_and_resize(pixels, self.image_size)
            label = tf.gather(ids, example["label"])
            return tf.ensure_shape(image, (*(self.image_size,) * 2, 3)), label

        records = shuffled_records(
            self._counts, read_shard, batch_size, seed, start_step, self._window
        )
        images = records.unbatch().map(read, num_parallel_calls=tf.data.AUTOTUNE)
        return images.batch(batch_size, drop_remainder=True)

    def _name_of(self, example):
        name = next((example[key] for key in _NAME_FEATURES if key in example), None)
        if name is None or name.dtype != tf.string:
            return tf.constant(f"an image without a name of {self.name}")
        return tf.strings.join([name, f" of {self.name}"])


def open_tfds(
    name, image_size, num_classes, classes=None, class_names=None, progress=True
) -> RealTfds:
    """Opens a data set that TensorFlow Datasets has prepared.

    Args:
        name: Such as "imagenet2012", "cifar10", "imagenet_resized/64x64", or the folder of a version of one;
            with the split behind a colon if it isn't train, such as "imagenet2012:validation".
        image_size, num_classes, classes, class_names: as in `open_training_images`.
        progress: Show a progress bar when all labels have to be read, for `classes`.

    Raises:
        ImportError: the extra `tfds` is not installed.
        FileNotFoundError: the data set is not prepared on this machine.
        ValueError: see `RealTfds`.
    """
    name, _, split = name.partition(":")
    return RealTfds(
        _builder(name), split or "train", image_size, num_classes, classes, class_names, progress
    )


def _builder(name):
    tfds = _tfds()
    if (Path(name) / "dataset_info.json").is_file():
        return tfds.builder_from_directory(name)
    try:
        builder = tfds.builder(name)
    except (tfds.core.registered.DatasetNotFoundError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise MissingFileError(
            f"Got tfds:{name}, which TensorFlow Datasets doesn't know ({reason}). Expected the name of one "
            "of its data sets, such as imagenet2012, or the folder of a prepared one. Check the spelling."
        ) from error
    if builder.info.splits:
        return builder
    # Another version than that of the installed library may have been prepared.
    prepared = sorted(Path(builder.data_path).parent.glob("*/dataset_info.json"))
    if prepared:
        return tfds.builder_from_directory(prepared[-1].parent)
    manual = (builder.MANUAL_DOWNLOAD_INSTRUCTIONS or "").split()
    by_hand = f" Before that: {' '.join(manual)}" if manual else ""
    raise MissingFileError(
        f"Got tfds:{name}, which is not prepared in {builder.data_path}. Expected its TFRecord files there, "
        f"or below $TFDS_DATA_DIR. Run `tfds build {name}` once.{by_hand}"
    )


def _checked_features(builder, title):
    features, file_format = builder.info.features, builder.info.file_format
    if not {"image", "label"} <= set(features or ()) or not features["label"].num_classes:
        raise InputError(
            f"Got {title} with the features {sorted(features or ())}. Expected image and label: training "
            "needs the class of every real image. Give another data set, or write an .npz file."
        )
    if file_format is not None and file_format.value != "tfrecord":
        raise InputError(
            f"Got {title} as {file_format.value} files. Expected tfrecord. Prepare it again with "
            "`tfds build --file_format=tfrecord`."
        )
    return features


def _split_info(builder, split, title):
    if split not in builder.info.splits:
        raise InputError(
            f"Got {title}. Expected one of the splits {', '.join(sorted(builder.info.splits))}. Give it as "
            f"tfds:{builder.name}:NAME."
        )
    return builder.info.splits[split]


def _tfds():
    try:
        return importlib.import_module("tensorflow_datasets")
    except ImportError as error:
        raise MissingPackageError(
            "Got data='tfds:...' without the package tensorflow-datasets. Expected it for these data sets. "
            "Install it with pip install 'tinygan-keras[tfds]'."
        ) from error
