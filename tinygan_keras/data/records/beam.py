"""Makes a teacher-sample cache with Apache Beam, on this machine or on a cluster.

    make_cache_with_beam(teacher, "cache/", count=20_000)  # DirectRunner
    options = ["--runner=DataflowRunner", "--project=...", "--number_of_worker_harness_threads=1"]
    make_cache_with_beam(teacher, "gs://bucket/cache", count=800_000, options=options)

One element is one shard, made and published as `write_cache` makes it, so the bytes are the same. A runner
may give the same shard to two workers, or give it again after a failure.

On a cluster, every worker needs this package and its requirements (a container image, or `--setup_file`), the
teacher under the same handle (a TensorFlow Hub handle; a folder has to be mounted everywhere), and the same
folder to write to: a mounted one, or a URL that TensorFlow's file systems know, such as gs://. Give each
worker process one thread (`--number_of_worker_harness_threads=1` on Dataflow): a teacher keeps a device
busy by itself.

Rejected: a PCollection of samples and `WriteToTFRecord`, which decides itself what is in which file.
"""

import functools
import logging

from ...errors import MissingPackageError

try:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.utils.shared import Shared
except ImportError as error:
    raise MissingPackageError(
        f"apache_beam can't be imported: {error}. Expected Apache Beam, which is an optional part: "
        'pip install "tinygan-keras[beam]". Without it, tinygan cache makes the same files with --worker '
        "and --workers."
    ) from error

from ...errors import InputError
from ...teachers.hub import HubTeacher
from .manifest import Manifest, differences, new_manifest
from .progress import Progress
from .shards import finished_shards, missing_shards
from .writing import prepare_folder, write_shards


def make_cache_with_beam(
    teacher,
    folder,
    count: int,
    seed=0,
    classes=None,
    shard_size=1024,
    batch_size=32,
    encoding="png",
    options=("--runner=DirectRunner",),
    load_teacher=None,
) -> Manifest:
    """Does what `write_cache` does, by a Beam pipeline over the shards that are missing.

    Args:
        teacher: See `write_cache`. It is loaded here to settle the manifest; the workers load their own.
        folder, count, seed, classes, shard_size, batch_size, encoding: See `write_cache`.
        options: List of str, the options of the pipeline as on a command line.
        load_teacher: Function without arguments that returns the teacher, once per worker process, and
            can be pickled; None for `HubTeacher` with the same handle and truncation.

    Returns:
        The `Manifest` of the cache, which is complete.

    Raises:
        ValueError: see `write_cache`.
        RuntimeError: the pipeline ended, and shards are missing.
    """
    manifest = new_manifest(teacher, count, seed, classes, shard_size, batch_size, encoding)
    prepare_folder(folder, manifest, getattr(teacher, "class_embedding", None))
    missing = missing_shards(folder, manifest, range(manifest.shards))
    load_teacher = load_teacher or functools.partial(
        HubTeacher, teacher.handle, truncation=teacher.truncation
    )
    with beam.Pipeline(options=PipelineOptions(list(options))) as pipeline:
        _ = (
            pipeline
            | "Missing shards" >> beam.Create(missing, reshuffle=False)
            | "Spread" >> beam.Reshuffle()
            | "Make" >> beam.ParDo(_MakeShard(str(folder), manifest, load_teacher))
        )
    left = manifest.shards - len(finished_shards(folder, manifest))
    if left:
        raise RuntimeError(
            f"Got a pipeline that ended with {left:,} of {manifest.shards:,} shards missing in {folder}. "
            "Expected all of them. Do the workers write to another disk? A folder has to be mounted on "
            "all of them."
        )
    return manifest


class _MakeShard(beam.DoFn):
    """Makes the shards whose numbers come in."""

    def __init__(self, folder, manifest, load_teacher):
        self.folder, self.manifest, self.load_teacher = folder, manifest, load_teacher
        self.shared = Shared()  # one teacher per process, however many threads it has

    def setup(self):
        self.teacher = self.shared.acquire(self.load_teacher)
        names = ("count", "seed", "classes", "shard_size", "batch_size", "encoding")
        settings = {name: getattr(self.manifest, name) for name in names}
        if lines := differences(new_manifest(self.teacher, **settings), self.manifest):
            listed = "\n  ".join(lines)
            raise InputError(
                f"Got a worker whose teacher differs from that of the cache in {self.folder}:\n  {listed}\n"
                "Expected the same files and truncation on every worker. Copy the files, empty the worker's "
                "TensorFlow Hub cache, or mend load_teacher."
            )

    def process(self, shard):
        progress = Progress(len(self.manifest.indices(shard)), visible=False)
        write_shards(self.teacher, self.folder, self.manifest, [shard], progress)
        logging.info("Made shard %d of %d.", shard, self.manifest.shards)
        beam.metrics.Metrics.counter("tinygan_keras", "images").inc(progress.total)
