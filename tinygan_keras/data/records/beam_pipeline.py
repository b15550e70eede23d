"""Makes the shards of a set by an Apache Beam pipeline, on this machine or on a cluster.

One element is one shard, written as everywhere else, so the bytes are the same even if two workers get it.
Every worker needs this package (a container image, or `--setup_file`), the source of the images under the
same name, and the same folder to write to, mounted or a URL. Give each worker process one thread
(`--number_of_worker_harness_threads=1` on Dataflow), as a teacher keeps a device busy by itself. Rejected:
`WriteToTFRecord`, which decides itself what is in which file.
"""

import logging

from ...errors import MissingPackageError, UnusableFileError

try:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.utils.shared import Shared
except ImportError as error:
    raise MissingPackageError(
        f"Got no apache_beam: {error}. Expected Apache Beam, which is optional: "
        'pip install "tinygan-keras[beam]". Without it, --worker and --workers make the same files.'
    ) from error

from .record_set import missing_shards
from .record_writer import write_shards


def run_pipeline(folder, record_settings, shards, load_examples, options):
    """Makes these shards by the workers of a pipeline with these options (list of str)."""
    with beam.Pipeline(options=PipelineOptions(list(options))) as pipeline:
        numbers = pipeline | beam.Create(shards, reshuffle=False) | beam.Reshuffle()
        _ = numbers | beam.ParDo(_MakeShard(folder, record_settings, load_examples))
    if left := missing_shards(folder, record_settings, shards):
        raise UnusableFileError(
            f"Got a pipeline that ended with {len(left):,} of {len(shards):,} shards missing in {folder}. "
            "Expected all of them. Mount the folder on all workers: they may write to disks of their own."
        )


class _MakeShard(beam.DoFn):
    def __init__(self, folder, record_settings, load_examples):
        self.folder, self.record_settings = folder, record_settings
        self.load_examples = load_examples
        self.shared = Shared()  # one teacher per process, however many threads it has

    def setup(self):
        self.examples_of = self.shared.acquire(self.load_examples)

    def process(self, shard):
        write_shards(self.folder, self.record_settings, [shard], self.examples_of)
        logging.info("Made shard %d of %d.", shard, self.record_settings.shards)
        images = len(self.record_settings.indices(shard))
        beam.metrics.Metrics.counter("tinygan_keras", "images").inc(images)
