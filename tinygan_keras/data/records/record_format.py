"""The one format of stored images: a folder of TFRecord shards, `settings.json`, and a few small arrays.

    teacher-samples-1a2b3c4d-00007-of-00391.tfrecord    kind, identity, number of the shard
    labels.npy, class_embedding.npy                     small arrays, whose SHA-256 is among the settings
    settings.json                                       what the set is to hold, known before its first record

The identity of a set is the hash of its settings, which decide every byte; the names of the shards carry it.
A shard is finished when it has its name, so N workers on N hosts need nothing but the folder. Nothing here
imports TensorFlow before a file is read or a record made. Rejected: `array_record` and `grain`, one more
young dependency for 60 lines; side files that say which shard is finished, twice as many files on a network.
"""

import dataclasses
import functools
import json
import os
import re

from ...embedded import find
from ...errors import InputError, MissingFileError
from ...files import UNFINISHED, content_hash, file_errors, plain

SETTINGS_FILE = "settings.json"
TEACHER_SAMPLES, REAL_IMAGES = "teacher samples", "real images"
GIVEN = "given"  # in place of our rule of latents, where another program has made them
FORMAT = 2
_OURS = re.compile(r"\..*|[a-z-]+-[0-9a-f]{8}-\d+-of-\d+\.tfrecord")
_PNG_COMPRESSION = 3  # encodes 1.4 times as fast as zlib's 6, files are up to an eighth larger


@dataclasses.dataclass(frozen=True)
class RecordSettings:
    """What a set of records holds: `settings` decide its bytes, `provenance` says where it was made from."""

    settings: dict
    provenance: dict

    def __getitem__(self, name):
        return self.settings[name]

    @functools.cached_property
    def identity(self) -> str:
        """SHA-256 (hex) of the settings."""
        return content_hash(self.settings)

    @property
    def shards(self) -> int:
        """Number of files."""
        return -(-self["count"] // self["shard_size"])

    def indices(self, shard: int) -> range:
        """The numbers of the records of a shard."""
        start = shard * self["shard_size"]
        return range(start, min(start + self["shard_size"], self["count"]))

    def shard_name(self, shard: int) -> str:
        """File name of a shard."""
        kind = self["kind"].replace(" ", "-")
        return f"{kind}-{self.identity[:8]}-{shard:05d}-of-{self.shards:05d}.tfrecord"

    def shard_path(self, folder, shard: int) -> str:
        """Where a shard is."""
        return os.path.join(folder, self.shard_name(shard))

    def to_text(self) -> str:
        """JSON with a checksum over everything in it."""
        content = plain(dataclasses.asdict(self))
        return json.dumps({**content, "checksum": content_hash(content)}, indent=1) + "\n"


def read_bytes(path) -> bytes | None:
    """The content of a file on a disk or behind a URL; None if there is none."""
    import tensorflow as tf

    try:
        with file_errors(path, tensorflow=True), tf.io.gfile.GFile(path, "rb") as file:
            return file.read()
    except MissingFileError:
        return None


def read_settings(folder) -> RecordSettings:
    """Reads what `RecordSettings.to_text` wrote into a set."""
    path = os.path.join(find(folder), SETTINGS_FILE)
    data = read_bytes(path)
    if data is None:
        raise MissingFileError(
            f"Got {folder}, which holds no {SETTINGS_FILE}. Expected a folder that tinygan cache or tinygan "
            "prepare wrote. Check the name, or make the set."
        )
    try:
        content = json.loads(data)
        if content.pop("checksum") != content_hash(content):
            raise ValueError("its checksum isn't that of its lines")
        record_settings = RecordSettings(**content)
        if record_settings["format"] != FORMAT:
            raise ValueError(f"it is of format {record_settings['format']}, not {FORMAT}")
        return record_settings
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"Got {path}, which can't be read ({type(error).__name__}: {error}). Expected the settings of a "
            "set as this version of tinygan-keras wrote them. Copy them from another worker's folder, or "
            "make the set again."
        ) from error


def check_numbers(worker=0, workers=1, encoding="png", **others):
    """Refuses numbers that no set can have, all but `worker` 1 or more, and unknown encodings."""
    if encoding not in ("png", "raw"):
        raise InputError(f"Got encoding={encoding!r}. Expected png or raw. Leave it out for png.")
    for name, value in {**others, "workers": workers}.items():
        if value is None or value < 1:
            raise InputError(f"Got {name}={value}. Expected 1 or more. Set {name}.")
    if not 0 <= worker < workers:
        raise InputError(
            f"Got worker={worker} of workers={workers}. Expected a number from 0 to {workers - 1}: "
            "workers count from 0."
        )


def check_folder(names, folder):
    """Refuses to write into a folder with these files, if they are neither none nor a set."""
    for name in sorted(names):
        if SETTINGS_FILE not in names and UNFINISHED not in name and not _OURS.fullmatch(name):
            raise InputError(
                f"Got the folder {folder}, which is no set of records and holds {name!r}. Expected a new "
                "or empty folder, or a set that was begun. Choose another."
            )


def encode(record_settings: RecordSettings, index: int, example: dict) -> bytes:
    """A record: an example and its number."""
    import tensorflow as tf

    image, size = example["image"], record_settings["image_size"]
    if image.shape != (size, size, 3) or image.dtype != "uint8":
        raise InputError(
            f"Got an image {image.dtype} {image.shape} for record {index}. Expected uint8 "
            f"({size}, {size}, 3), by the size that is stated. Fix what makes the images."
        )
    content = image.tobytes()
    if record_settings["encoding"] == "png":
        with tf.device("CPU:0"):
            content = tf.io.encode_png(image, compression=_PNG_COMPRESSION).numpy()
    record = tf.train.Example()
    feature = record.features.feature
    feature["image"].bytes_list.value.append(content)
    feature["index"].int64_list.value.append(index)
    for name in ("label", "seed"):
        if example.get(name) is not None:
            feature[name].int64_list.value.append(int(example[name]))
    if example.get("latent") is not None:
        feature["latent"].float_list.value.extend(example["latent"].tolist())
    if example.get("name") is not None:
        feature["name"].bytes_list.value.append(example["name"].encode(errors="surrogateescape"))
    if index % record_settings["shard_size"] == 0:
        feature["set"].bytes_list.value.append(record_settings.identity.encode())
    # A map of features has no order of its own, and two workers have to write the same bytes.
    return record.SerializeToString(deterministic=True)


def decoder(record_settings: RecordSettings):
    """Function from records `[B]` to a dict: uint8 `image`, int32 `label` (-1 without), perhaps `latent`."""
    import tensorflow as tf

    shape = (*(record_settings["image_size"],) * 2, 3)
    features = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64, -1),
    }
    if latent_dim := record_settings.settings.get("latent_dim"):
        features["latent"] = tf.io.FixedLenFeature([latent_dim], tf.float32)

    def decode_image(content):
        if record_settings["encoding"] == "png":
            return tf.ensure_shape(tf.io.decode_png(content, channels=3), shape)
        return tf.reshape(tf.io.decode_raw(content, tf.uint8), shape)

    def decode(records):
        batch = tf.io.parse_example(records, features)
        images = tf.TensorSpec(shape, tf.uint8)
        batch["image"] = tf.map_fn(decode_image, batch["image"], fn_output_signature=images)
        batch["label"] = tf.cast(batch["label"], tf.int32)
        return batch

    return decode
