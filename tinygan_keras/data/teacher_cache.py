"""A teacher's samples on disk: made once by `tinygan cache`, for many runs of training.

Sample k is the picture (classes[k % len(classes)], seed + k, the teacher's truncation). Its latent is stored
as well, at 512 bytes beside the 30 kB of an image of 128 px: the student has to learn from exactly what the
teacher got, and logarithms differ in last bits between machines.
"""

import functools
import importlib.metadata
import itertools

import numpy as np
import tensorflow as tf

from ..classes.selection import class_numbers
from ..errors import InputError
from ..files import plain
from ..images import to_float
from ..latents import LAW, check_seeds
from .records.record_format import GIVEN, TEACHER_SAMPLES, check_numbers
from .records.record_set import RecordSet, read_settings, verify_records
from .records.record_writer import write_records
from .teacher_samples import TeacherSamples, generate_samples

# What of a teacher decides its samples.
_OF_TEACHER = ("content_hash", "truncation", "num_classes", "latent_dim", "image_size")


def write_cache(
    teacher,
    folder,
    count: int,
    seed=0,
    classes=None,
    shard_size=1024,
    batch_size=32,
    encoding="png",
    worker=0,
    workers=1,
    progress=True,
    runner=None,
    load_teacher=None,
    class_names=None,
) -> list:
    """Generates samples of a teacher and keeps them on disk, or goes on where an earlier call was stopped.

    Workers may share a folder, or have one each that are copied into one later: on the same kind of machine
    a shard has the same bytes whoever makes it; on another, a level may differ by one.

    Args:
        teacher: `HubTeacher`, or another callable `(latents, labels) -> images` with `latent_dim`,
            `num_classes`, `image_size`, `truncation`, `handle` and `content_hash`. Its `class_embedding`,
            if it has one, is kept too.
        folder: Where to: a folder, new or with a cache of these settings; or a URL such as gs://.
        count: Number of samples in all, 1 or more.
        seed: Seed of the first sample, 0 or more.
        classes: The classes that take turns, as `class_numbers` takes them; None for all of the teacher's.
        shard_size: Samples per file. A multiple of `batch_size` wastes none. Reading holds up to six
            shards in memory: take fewer for images of 256 px and more.
        batch_size: Images per call of the teacher; a setting, as last bits of an image may depend on it.
        encoding: "png", or "raw" for bytes: larger, and quicker to read.
        worker, workers: This worker makes the shards k with `k % workers == worker`.
        progress: Show a progress bar.
        runner: List of str, options of an Apache Beam pipeline that makes the shards, such as
            `["--runner=DirectRunner"]`; None to make them here.
        load_teacher: With a runner, picklable function `()` that returns the teacher in a worker process;
            None for `HubTeacher` with the same handle, which every worker has to reach, and truncation.
        class_names: Names by label, kept with the cache.

    Returns:
        List of str, the names of the shards that other workers have to make still.

    Raises:
        InputError: bad settings; or the folder holds a cache with others, whose differences are listed.
        UnusableFileError: the folder or a file can't be written. What was finished stays.

    Example:
        write_cache(HubTeacher("biggan_fashion_32"), "runs/cache", count=20_000)
    """
    numbers = {"count": count, "shard_size": shard_size, "batch_size": batch_size}
    check_numbers(worker, workers, encoding, **numbers)
    check_seeds(seed, count)
    missing = [name for name in (*_OF_TEACHER, "handle") if getattr(teacher, name, None) is None]
    if missing:
        raise InputError(
            f"Got a teacher without {', '.join(missing)}. Expected a HubTeacher, or another callable with "
            f"{', '.join((*_OF_TEACHER, 'handle'))}. Write a generator of your own with "
            "tinygan_keras.teachers.own_teacher.save_teacher, and load it with HubTeacher."
        )
    classes = class_numbers(classes, teacher.num_classes, class_names, distinct=True)
    settings = {
        "kind": TEACHER_SAMPLES,
        **_settings_of(teacher),
        "class_names": None if class_names is None else list(class_names),
        "seed": seed,
        "classes": classes.tolist(),
        "batch_size": batch_size,
        "encoding": encoding,
        "latents": LAW,
    }
    embedding = getattr(teacher, "class_embedding", None)
    versions = {name: importlib.metadata.version(name) for name in ("tensorflow", "numpy")}
    examples_of = functools.partial(_examples, teacher, settings)
    records = folder, settings, count, shard_size, examples_of
    work = worker, workers, progress, runner
    return write_records(
        *records,
        *work,
        labels=np.resize(classes, count),
        arrays={} if embedding is None else {"class_embedding": np.asarray(embedding, "float32")},
        provenance={"teacher": str(teacher.handle), "versions": versions},
        load_examples=functools.partial(_load_examples, load_teacher, teacher.handle, settings),
    )


class TeacherCache(RecordSet):
    """Samples that `tinygan cache` made or imported; opening it reads no image, and what is read is checked.

    Args:
        folder: The cache.

    Attributes:
        folder: str; settings: dict, all that decides the samples; count: int, number of samples.
        latent_dim, num_classes, image_size: int, of the teacher.
        truncation: float, of the teacher's statistics and of the latents.
        classes: Tuple of int, the labels that take turns; labels: int32 `[count]`.
        class_names: List of str by label, or None.
        teacher: str, the handle it was made with; content_hash: str, SHA-256 of the teacher's files.
            Of imported pairs, both are those of the pairs.
        given_latents: bool, whether the latents are of no rule of ours, but came with imported pairs.

    Raises:
        MissingFileError: there is no cache.
        UnusableFileError: it can't be read.
        InputError: shards are missing, or the records are no teacher's.

    Example:
        cache = TeacherCache("runs/cache")
        for batch in cache.batches(64, seed=0).take(1):
            batch["latent"], batch["label"], batch["teacher_image"]
    """

    def __init__(self, folder):
        super().__init__(folder)
        if self.settings["kind"] != TEACHER_SAMPLES:
            raise InputError(
                f"Got {self.folder}, which holds {self.settings['kind']}. Expected samples of a teacher, "
                "as tinygan cache makes them."
            )
        self.latent_dim, self.truncation = self.settings["latent_dim"], self.settings["truncation"]
        self.classes = tuple(self.settings["classes"])
        self.content_hash = self.settings["content_hash"]
        self.teacher = self.provenance["teacher"]
        self.given_latents = self.settings["latents"] == GIVEN

    def samples(self, numbers) -> TeacherSamples:
        """Those with these numbers, in memory."""
        numbers, size = np.asarray(numbers), self.settings["shard_size"]
        records = [self._shard_records(int(n) // size)[int(n) % size] for n in numbers]
        found = self._decode(tf.constant(records))
        return TeacherSamples(*(found[name].numpy() for name in ("latent", "label", "image")))

    @functools.cached_property
    def class_embedding(self) -> np.ndarray | None:
        """Float32 `[num_classes, K]`, the teacher's shared class embedding, or None."""
        return self.array("class_embedding")

    def batches(self, batch_size: int, seed=0, start_step=0) -> tf.data.Dataset:
        """Passes over the samples again and again; batch k is a pure function of the seed and k.

        Args:
            batch_size: Samples per batch; the shape is static.
            seed: Seed of the order.
            start_step: Number of the first batch.

        Returns:
            Endless data set of dicts `latent` float32 `[B, Z]`, `label` int32 `[B]`, `teacher_image`
            float32 `[B, S, S, 3]` in [-1, 1].

        Raises:
            InputError: there are fewer samples than a batch has.
        """

        def finish(step, batch):
            return {"teacher_image": to_float(batch.pop("image")), **batch}

        return self.decoded_batches(batch_size, seed, start_step, finish)

    def __repr__(self):
        samples = f"{self.count:,} samples of {self.teacher}, truncation {self.truncation:g}"
        classes = f"{len(self.classes)} of {self.num_classes} classes"
        size = self.image_size
        return f"TeacherCache({self.folder!r}): {samples}, {classes}, images {size}x{size}x3"


def verify_cache(folder, content_hash: str | None = None, progress=True) -> list:
    """Finds flipped bits, missing and short shards, and shards of another teacher or cache.

    Args:
        folder: The cache.
        content_hash: That of the teacher it should be of; None to leave that open.
        progress: Show a progress bar.

    Returns:
        List of str, a problem each, with the name of the file; empty for a cache that is whole.

    Raises:
        MissingFileError: there is no cache.
        UnusableFileError: the folder or the settings can't be read.
        InputError: the settings were changed or damaged.

    Example:
        assert not verify_cache("runs/cache")
    """
    problems = verify_records(folder, progress)
    found = read_settings(folder).settings.get("content_hash")
    if content_hash not in (None, found):
        hashes = f"content hash {str(found)[:12]}..., not {content_hash[:12]}..."
        problems.insert(0, f"settings.json is of another teacher: {hashes}")
    return problems


def _settings_of(teacher) -> dict:
    settings = {name: getattr(teacher, name) for name in _OF_TEACHER}
    return plain({**settings, "truncation": float(teacher.truncation)})


def _examples(teacher, settings, start, stop):
    """Yields the samples from `start` to before `stop`."""
    classes, seed = np.array(settings["classes"], "int32"), settings["seed"]
    numbers = itertools.count(seed + start)
    for batch in generate_samples(teacher, classes, seed, start, stop, settings["batch_size"]):
        for latent, label, image in zip(*batch, strict=True):
            yield {"image": image, "label": label, "latent": latent, "seed": next(numbers)}


def _load_examples(load_teacher, handle, settings):
    """`_examples` of a Beam worker's own copy of the teacher, if it is the same one."""
    if load_teacher is None:
        from ..teachers.hub import HubTeacher

        load_teacher = functools.partial(HubTeacher, handle, truncation=settings["truncation"])
    teacher = load_teacher()
    differing = [
        f"\n  {name}: {value}, in the cache {settings[name]}"
        for name, value in _settings_of(teacher).items()
        if value != settings[name]
    ]
    if differing:
        raise InputError(
            f"Got a worker whose teacher differs from that of the cache:{''.join(differing)}\nExpected the "
            "same files and truncation on every worker. Copy the files, or empty the worker's TensorFlow Hub "
            "cache."
        )
    return functools.partial(_examples, teacher, settings)
