"""Data sets that TensorFlow Datasets has prepared, as a source of images: ImageNet, CIFAR-10 and others.

Its TFRecord files are read as they lie on the disk, and decoded by our decoder. What isn't prepared is
refused: ImageNet can't be downloaded by a program, and no command begins by downloading gigabytes unasked.
"""

import contextlib
import functools
from pathlib import Path

import numpy as np

from ..errors import InputError, MissingFileError, MissingPackageError, UnusableFileError
from ..files import content_hash
from ..progress import progress_bar
from .image_decoding import decode
from .image_sources import ImageSource

_NAME_FEATURES = ("file_name", "filename", "image/filename", "id")


class TfdsSource(ImageSource):
    """The images of a split of a `tfds.core.DatasetBuilder` with the features `image` and `label`.

    The labels are not in its metadata: the first look at them reads all records once.
    """

    own_order, shuffled = True, True  # the library shuffles what it prepares

    def __init__(self, builder, split):
        super().__init__(f"tfds:{builder.info.full_name}, {split}")
        features, file_format = builder.info.features or {}, builder.info.file_format
        if not {"image", "label"} <= set(features) or not features["label"].num_classes:
            raise InputError(
                f"Got {self.name} with the features {sorted(features)}. Expected image and label: the class "
                "of every image is needed. Give another data set, or write an .npz file."
            )
        if file_format is not None and file_format.value != "tfrecord":
            raise InputError(
                f"Got {self.name} as {file_format.value} files. Expected tfrecord. Prepare it again with "
                "`tfds build --file_format=tfrecord`."
            )
        if split not in builder.info.splits:
            raise InputError(
                f"Got {self.name}. Expected one of the splits {', '.join(sorted(builder.info.splits))}. Give "
                f"it as tfds:{builder.name}:NAME."
            )
        info = builder.info.splits[split]
        shards = [(str(f), n) for f, n in zip(info.filepaths, info.shard_lengths, strict=True) if n]
        self._files, counts = zip(*shards, strict=True)
        self._ends = np.cumsum(counts)
        self.count = int(self._ends[-1])
        self.class_names = tuple(features["label"].names)
        self._pad = tuple(features["image"].shape[:2]) == (28, 28)
        missing = [file for file in self._files if not Path(file).is_file()]
        if missing:
            raise InputError(
                f"Got {self.name} without {len(missing)} of {len(self._files)} files, such as {missing[0]}. "
                "Expected all. Copy or prepare the data set again."
            )
        self.found["files"] = f"{len(self._files):,} in {Path(self._files[0]).parent}"

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """int32 `[count]`."""
        bar = progress_bar(self.count, "label", self.count > 100_000)
        labels = np.empty(self.count, "int32")
        for index, features in self._examples(np.arange(self.count)):
            labels[index] = features["label"].int64_list.value[0]
            if index % 1000 == 999:
                bar.update(index + 1)
        return labels

    def payloads(self, indices):
        for _, features in self._examples(indices):
            content = features["image"].bytes_list.value[0]
            if self._pad:
                with contextlib.suppress(Exception):  # what can't be decoded is named by the next
                    content = np.pad(decode(content).pixels, ((2, 2), (2, 2), (0, 0)))
            yield content

    def content(self, indices):
        names = [Path(file).name for file in self._files]
        return content_hash(self.name, names, self._ends, indices, self.labels)

    def image_name(self, index):
        ((_, features),) = self._examples(np.array([index]))
        for key in _NAME_FEATURES:
            if key in features and features[key].bytes_list.value:
                return features[key].bytes_list.value[0].decode(errors="replace")
        return f"image {index}"

    def _examples(self, indices):
        """Yields (index, features by name) for sorted indices, reading each file at most once."""
        import tensorflow as tf

        ends = self._ends
        for shard, file in enumerate(self._files):
            start = int(ends[shard - 1]) if shard else 0
            wanted = (indices[(indices >= start) & (indices < ends[shard])] - start).tolist()
            if not wanted:
                continue
            first, chosen = wanted[0], set(wanted)
            records = tf.data.TFRecordDataset(file).skip(first).take(wanted[-1] - first + 1)
            try:
                place = first - 1
                for place, record in enumerate(records.as_numpy_iterator(), start=first):
                    if place in chosen:
                        yield start + place, tf.train.Example.FromString(record).features.feature
            except tf.errors.DataLossError as error:
                raise UnusableFileError(
                    f"Got {file}, which is damaged: {error.message.splitlines()[0]}. Expected it as it was "
                    "prepared. Put a good copy in its place, or prepare the data set again."
                ) from error
            if place != wanted[-1]:
                raise InputError(
                    f"Got {place + 1:,} records in {file}. Expected {int(ends[shard]) - start:,}, by the "
                    "metadata beside it. Prepare the data set again."
                )


def open_tfds(name) -> TfdsSource:
    """Opens "cifar10", "imagenet2012:validation", "imagenet_resized/64x64", or the folder of a version."""
    split = "train"
    if ":" in name and not _is_version(name):
        name, _, split = name.rpartition(":")
    return TfdsSource(_builder(name), split)


def _is_version(folder):
    return (Path(folder).expanduser() / "dataset_info.json").is_file()


def _builder(name):
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise MissingPackageError(
            "Got data='tfds:...' without the package tensorflow-datasets. Expected it for these data sets. "
            "Install it with pip install 'tinygan-keras[tfds]'."
        ) from error
    if _is_version(name):
        return tfds.builder_from_directory(Path(name).expanduser())
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
