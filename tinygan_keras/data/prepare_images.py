"""Converts real images of any source to a record set, once: cropped, resized, checked, in random order.

Every image is decoded before the first record is written, so that what can't be read is refused at the start
rather than in the middle of a night. Stopped at any moment, the same call goes on where it was: only images
of missing shards are decoded. Memory stays flat, however many images there are.
"""

import functools
import os

import numpy as np

from ..classes.imagenet import imagenet_ids
from ..classes.selection import class_numbers
from ..errors import InputError
from ..files import plain, user_path
from .image_decoding import Findings
from .image_sets import decode_images, wanted_images
from .image_sources import open_source
from .preprocessing import describe_preprocessing

_ORDER_SEED = 0
_DECODING = 1  # counts the changes of the policy of `image_decoding` that change pixels


def prepare_images(
    data,
    out,
    image_size: int,
    classes="",
    skip_unreadable=False,
    shard_size=1024,
    worker=0,
    workers=1,
    runner=None,
    data_subset="",
    progress=True,
) -> str:
    """Converts images to a record set, which `open_images` reads with flat memory; `tinygan prepare`.

    Args:
        data: A folder with a sub-folder per class, `tfds:NAME`, `keras:NAME`, an `.npz` file or a prepared
            set; see `open_images`. Of a folder with a sub-folder `train`, this one is taken.
        out: Folder of the set, new or begun by the same call; or a URL that TensorFlow's file systems know.
        image_size: Height and width of the images; others are cropped and resized.
        classes: Text of those that are wanted, such as "animals", "0-9,17" or names; "" for all. If the
            classes of the data are called by wnids, they are ImageNet's.
        skip_unreadable: Leave out what can't be decoded, rather than refuse it.
        shard_size: Images per file.
        worker, workers: This worker makes every shard k with k % workers == worker.
        runner: List of str, options of an Apache Beam pipeline that makes the shards; None to make them here.
        data_subset: See `open_images`.
        progress: Show progress bars.

    Returns:
        A report of what was found, converted, left out and written.

    Raises:
        MissingFileError: nothing has this name.
        InputError: images can't be decoded, there are none of these classes, or `out` holds something else.
        UnusableFileError: nothing can be written there.

    Example:
        print(prepare_images("tfds:imagenet2012", "imagenet_128/", 128, classes="animals"))
    """
    from .records.record_format import check_numbers
    from .records.record_writer import write_records

    check_numbers(
        count=1, shard_size=shard_size, worker=worker, workers=workers, image_size=image_size
    )
    arguments = (data, image_size, classes, data_subset)
    conversion = Conversion(*arguments)
    findings = Findings(conversion.source)
    if skip_unreadable:  # every worker has to know them, or images would have other numbers
        conversion.check(conversion.chosen, findings, progress)
    else:
        missing = conversion.missing(out, shard_size, worker, workers)
        conversion.check(missing, findings, progress)
        findings.check_readable()
    left_out = tuple(int(index) for index, _ in findings.unreadable)
    conversion.leave_out(left_out)
    left = write_records(
        out,
        conversion.settings,
        len(conversion.chosen),
        shard_size,
        conversion.examples_of,
        worker,
        workers,
        progress,
        runner,
        labels=conversion.labels,
        provenance={"data": str(data), "classes": classes},
        load_examples=functools.partial(_load_examples, *arguments, left_out),
    )
    return conversion.report(findings, out, shard_size, len(left))


class Conversion:
    """Images of a source on their way to records.

    Attributes:
        source: `ImageSource`.
        chosen: Int `[N]`, the numbers in the source of the images, in the order of their records.
        labels: int32 `[N]`, or None.
        settings: Dict, see `write_records`.
    """

    def __init__(self, data, image_size, classes="", data_subset=""):
        self.source, self.image_size = open_source(data, True, data_subset=data_subset), image_size
        names = self.source.class_names
        imagenet = names and all(name.lower() in imagenet_ids() for name in names)
        self._class_map = self.source.classes(1000 if imagenet else None)
        wanted = None
        if classes.strip():
            _, known, count = self._class_map
            wanted = class_numbers(classes, count, known, distinct=True)
        self._keep(wanted_images(self.source, self._class_map, wanted))

    def _keep(self, indices):
        """Takes these images, given by sorted numbers."""
        self.chosen, labels = indices, self._class_map.labels
        if not self.source.shuffled:  # batches mix the records of few shards
            self.chosen = np.random.default_rng(_ORDER_SEED).permutation(indices)
        self.labels = None if labels is None else labels[self.chosen]

    @property
    def settings(self):
        _, class_names, num_classes = self._class_map
        return {
            "kind": "real images",
            "image_size": self.image_size,
            "num_classes": None if self.labels is None else num_classes,
            "class_names": class_names,
            "own_order": self.source.own_order,
            "source": self.source.name,
            "source_hash": self.source.content(self.chosen),
            "decoding": _DECODING,
        }

    def missing(self, out, shard_size, worker, workers):
        """The numbers in the source of the images that this worker has to convert still."""
        import tensorflow as tf

        from .records.record_format import SETTINGS_FILE, check_folder
        from .records.record_set import missing_shards, names_in, read_settings

        out = os.fspath(user_path(out))
        places = np.arange(len(self.chosen))
        mine = places[(places // shard_size) % workers == worker]
        names = names_in(out) if tf.io.gfile.isdir(out) else []
        check_folder(names, out)
        if SETTINGS_FILE not in names:
            return self.chosen[mine]
        begun = read_settings(out)
        wanted = {**plain(self.settings), "count": len(places), "shard_size": shard_size}
        if any(begun.settings.get(name) != value for name, value in wanted.items()):
            return self.chosen[:0]  # another set, into which nothing will be written
        missing = missing_shards(out, begun, range(worker, begun.shards, workers))
        return self.chosen[mine[np.isin(mine // shard_size, missing)]]

    def check(self, indices, findings, progress):
        """Decodes images and forgets them."""
        if progress and len(indices):
            print(f"Checking {len(indices):,} images of {self.source.name}")
        for _ in decode_images(self.source, np.sort(indices), self.image_size, findings, progress):
            pass

    def leave_out(self, indices):
        """Forgets the images with these numbers."""
        kept = np.setdiff1d(self.chosen, np.array(indices, int))
        if not len(kept):
            raise InputError(
                f"Got {self.source.name} without an image that can be decoded. Expected at least one."
            )
        self._keep(kept)

    def examples_of(self, start, stop):
        """Yields the examples with the numbers from `start` to before `stop`, as `write_records` wants."""
        findings, indices = Findings(self.source), self.chosen[start:stop]
        names = self.source.image_names(indices) or [None] * len(indices)
        labels = [None] * len(indices) if self.labels is None else self.labels[start:stop]
        decoded = decode_images(self.source, indices, self.image_size, findings, progress=False)
        for (_, pixels), name, label in zip(decoded, names, labels, strict=True):
            findings.check_readable()  # it was sound when it was checked
            yield {"image": pixels, "label": label, "name": name}

    def report(self, findings, out, shard_size, unfinished) -> str:
        """What was found, converted, left out and written, in lines."""
        source, counted = self.source, "images without labels"
        if self.labels is not None:
            counted = f"images in {len(np.unique(self.labels)):,} of {self._class_map.num_classes:,} classes"
        lines = {"images": f"{len(self.chosen):,} {counted}", **source.found}
        if findings.count:
            lines["sizes"] = findings.sizes_text()
        if findings.unreadable:
            lines["left out, unreadable"] = findings.unreadable_text()
        lines["preprocessing"] = describe_preprocessing(self.image_size)
        shards = -(-len(self.chosen) // shard_size)
        lines["written"] = f"{shards - unfinished:,} of {shards:,} shards in {out}"
        warnings = [*source.warnings, *findings.warnings(self.image_size)]
        return "\n".join(
            [f"Prepared {source.name}"]
            + [f"  {title}: {text}" for title, text in lines.items()]
            + [f"  Warning: {warning}" for warning in warnings]
        )


def _load_examples(data, image_size, classes, data_subset, left_out):
    """`Conversion.examples_of` in another process."""
    conversion = Conversion(data, image_size, classes, data_subset)
    conversion.leave_out(left_out)
    return conversion.examples_of
