"""`manifest.json`: what a teacher-sample cache holds, settled before its first sample is drawn.

Everything that decides the bytes of a shard is a setting here, and `identity` is the hash of these; each
shard names it. Where the teacher lay and which versions wrote the manifest is told, but decides nothing:
workers may have their copies of the teacher in different places.

Scope: the settings and their file's text. Nothing here imports TensorFlow, so that mistakes on the command
line are answered at once.
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
import io
import json

from ...errors import InputError
from ...files import plain

MANIFEST_FILE = "manifest.json"
EMBEDDING_FILE = "class_embedding.npy"
ENCODINGS = ("png", "raw")
LATENT_LAW = (
    "truncation * stateless_truncated_normal([latent_dim], seed=(seed, index), alg='philox'), cut off at "
    "two standard deviations"
)
_FORMAT = 1
_TOLD_ONLY = ("teacher", "versions")  # decide nothing about the samples


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The settings of a cache.

    Attributes:
        teacher: str, handle or folder of the teacher, where the manifest was written.
        content_hash: str, SHA-256 of the teacher's files.
        truncation: float, of the teacher's statistics and of the latents.
        num_classes, latent_dim, image_size: int, of the teacher.
        class_embedding: str, SHA-256 of `class_embedding.npy`; None if the teacher has no embedding.
        count: int, number of samples.
        seed: int, of the latents.
        classes: Tuple of int, the labels that take turns: sample i has `classes[i % len(classes)]`.
        shard_size: int, samples per file; the last file holds the rest.
        batch_size: int, images per call of the teacher. Part of the identity, since the last bits of an
            image may depend on it.
        encoding: "png" or "raw"; both keep every uint8 level.
        latent_law: str, how the latent of sample i is drawn.
        versions: dict, of the packages that wrote the manifest.
        format: int, of the files.
    """

    teacher: str
    content_hash: str
    truncation: float
    num_classes: int
    latent_dim: int
    image_size: int
    class_embedding: str | None
    count: int
    seed: int
    classes: tuple
    shard_size: int
    batch_size: int
    encoding: str
    latent_law: str = LATENT_LAW
    versions: dict = dataclasses.field(default_factory=dict)
    format: int = _FORMAT

    @functools.cached_property
    def identity(self) -> str:
        """SHA-256 (hex) of the settings that decide the bytes of the shards."""
        settings = dataclasses.asdict(self)
        return _sha256({name: settings[name] for name in settings if name not in _TOLD_ONLY})

    @property
    def shards(self) -> int:
        """Number of files."""
        return -(-self.count // self.shard_size)

    def indices(self, shard: int) -> range:
        """The numbers of the samples of a shard."""
        return range(shard * self.shard_size, min((shard + 1) * self.shard_size, self.count))

    def to_text(self) -> str:
        """JSON with a checksum over everything in it."""
        settings = plain(dataclasses.asdict(self))
        settings["checksum"] = _sha256(settings)
        return json.dumps(settings, indent=1) + "\n"


def new_manifest(teacher, count, seed, classes, shard_size, batch_size, encoding) -> Manifest:
    """Returns the settings of a cache that is to be written; see `write_cache` for the arguments.

    Raises:
        ValueError: the teacher lacks what a cache has to say about it, or a class is none of its own.
    """
    check_numbers(count, seed, shard_size, batch_size, encoding)
    names = ("latent_dim", "num_classes", "image_size", "truncation", "handle", "content_hash")
    missing = [name for name in names if getattr(teacher, name, None) is None]
    if missing:
        raise InputError(
            f"Got a teacher without {', '.join(missing)}. Expected a HubTeacher, or another callable with "
            f"{', '.join(names)}. Save a generator of your own with teachers/own_teacher.py and load it with "
            "HubTeacher."
        )
    classes = range(teacher.num_classes) if classes is None else classes
    classes = tuple(int(label) for label in classes)
    wrong = [label for label in classes if not 0 <= label < teacher.num_classes]
    if not classes or wrong or len(set(classes)) < len(classes):
        got = (
            f"the class {wrong[0]}"
            if wrong
            else f"{len(classes)} classes, {len(set(classes))} differ"
        )
        raise InputError(
            f"Got {got}. Expected one or more of the {teacher.num_classes} classes of {teacher.handle}, "
            f"numbers in [0, {teacher.num_classes - 1}], each once. Mend classes."
        )
    embedding = getattr(teacher, "class_embedding", None)
    return Manifest(
        teacher=str(teacher.handle),
        content_hash=str(teacher.content_hash),
        truncation=float(teacher.truncation),
        num_classes=int(teacher.num_classes),
        latent_dim=int(teacher.latent_dim),
        image_size=int(teacher.image_size),
        class_embedding=None if embedding is None else sha256(embedding_file(embedding)),
        count=int(count),
        seed=int(seed),
        classes=classes,
        shard_size=int(shard_size),
        batch_size=int(batch_size),
        encoding=encoding,
        versions={name: importlib.metadata.version(name) for name in ("tensorflow", "numpy")},
    )


def check_numbers(count, seed=0, shard_size=1, batch_size=1, encoding="png", worker=0, workers=1):
    """Raises ValueError for settings that no cache can have."""
    for name, value, lowest in (
        ("count", count, 1),
        ("seed", seed, 0),
        ("shard_size", shard_size, 1),
        ("batch_size", batch_size, 1),
        ("workers", workers, 1),
    ):
        if value is None or value < lowest:
            raise InputError(f"Got {name}={value}. Expected {lowest} or more. Set {name}.")
    if not 0 <= worker < workers:
        raise InputError(
            f"Got worker={worker} of workers={workers}. Expected a number from 0 to {workers - 1}: "
            "workers count from 0."
        )
    if encoding not in ENCODINGS:
        raise InputError(
            f"Got encoding={encoding!r}. Expected {' or '.join(ENCODINGS)}. Leave it out for png."
        )


def parse_manifest(text: str, path) -> Manifest:
    """Reads what `Manifest.to_text` wrote.

    Raises:
        ValueError: the text was changed, or another version of the program wrote it.
    """
    mend = "Copy it from another worker's folder, or take the folder away and make the cache anew."
    try:
        settings = json.loads(text)
        checksum, version = settings.pop("checksum"), settings["format"]
        whole = _sha256(settings) == checksum
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"Got {path}, which can't be read ({type(error).__name__}: {error}). Expected the settings "
            f"of a cache. {mend}"
        ) from error
    if not whole:
        raise InputError(
            f"Got {path}, whose checksum isn't that of its lines: it was edited, or damaged. Expected it "
            f"as it was written. {mend}"
        )
    if version != _FORMAT:
        raise InputError(
            f"Got {path} of format {version}. Expected format {_FORMAT}. Read it with the version of "
            "tinygan-keras that wrote it, or make the cache anew."
        )
    return Manifest(**{**settings, "classes": tuple(settings["classes"])})


def differences(wanted: Manifest, found: Manifest) -> list:
    """The settings that keep two caches apart, a line each; empty if they are one cache."""
    pairs = zip(dataclasses.asdict(wanted).items(), dataclasses.asdict(found).values(), strict=True)
    return [
        f"{name}: {_short(mine)}, in the folder {_short(theirs)}"
        for (name, mine), theirs in pairs
        if mine != theirs and name not in _TOLD_ONLY
    ]


def check_is_cache(names, folder):
    """Raises ValueError if a folder with files of these names is neither empty nor a cache."""
    known = (".", "shard-", EMBEDDING_FILE, MANIFEST_FILE)
    strange = [name for name in sorted(names) if not name.startswith(known)]
    if strange and MANIFEST_FILE not in names:
        raise InputError(
            f"Got the folder {folder}, which is no cache and holds {strange[0]!r}. Expected a new or "
            "empty folder, or a cache. Choose another."
        )


def embedding_file(class_embedding) -> bytes:
    """A matrix as the bytes of an `.npy` file."""
    import numpy as np  # here, since reading a manifest needs none of it

    buffer = io.BytesIO()
    np.save(buffer, np.asarray(class_embedding, "float32"), allow_pickle=False)
    return buffer.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sha256(settings) -> str:
    return sha256(json.dumps(plain(settings), sort_keys=True).encode())


def _short(value) -> str:
    text = json.dumps(plain(value))
    return text if len(text) <= 70 else f"{text[:60]}... ({len(text):,} characters)"
