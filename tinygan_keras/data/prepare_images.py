"""Converts real images of any source to a record set, once: cropped, resized, checked, in random order.

Every image is decoded before the first record is written, so that what can't be read is refused at the start.
Stopped at any moment, the same call goes on where it was: only images of missing shards are decoded. Memory
stays flat, however many images there are.
"""

import functools

import numpy as np

from ..classes.imagenet import imagenet_ids
from ..errors import InputError
from .image_decoding import Decoding, describe_preprocessing
from .image_sets import report_text, wanted_images
from .image_sources import open_source

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
    from .records.record_format import REAL_IMAGES, check_numbers
    from .records.record_writer import write_records

    check_numbers(worker, workers, shard_size=shard_size, image_size=image_size)
    arguments = data, image_size, classes, data_subset
    conversion, left_out = Conversion(*arguments), []
    source, decoding = conversion.source, conversion.decoding
    if skip_unreadable:  # every worker has to know them, or images would have other numbers
        left_out = conversion.unreadable(np.arange(len(conversion.chosen)), progress)
        conversion.leave_out(left_out)

    def check(numbers):
        conversion.unreadable(numbers, progress)
        decoding.check_readable()

    count, labels, class_map = len(conversion.chosen), conversion.labels, conversion.class_map
    settings = {
        "kind": REAL_IMAGES,
        "image_size": image_size,
        "num_classes": None if labels is None else class_map.num_classes,
        "class_names": class_map.class_names,
        "own_order": source.own_order,
        "source": source.name,
        "source_hash": source.content(conversion.chosen),
        "decoding": _DECODING,
    }
    records = out, settings, count, shard_size, conversion.examples_of
    work = worker, workers, progress, runner
    unfinished = write_records(
        *records,
        *work,
        labels=labels,
        provenance={"data": str(data), "classes": classes},
        load_examples=functools.partial(_load_examples, arguments, left_out),
        check=None if skip_unreadable else check,
    )
    counted = "without labels"
    if labels is not None:
        counted = f"in {len(np.unique(labels)):,} of {class_map.num_classes:,} classes"
    lines = {"images": f"{count:,} {counted}", **source.found}
    if decoding.count:
        lines["sizes"] = decoding.sizes_text()
    if decoding.unreadable:
        lines["left out, unreadable"] = decoding.unreadable_text()
    shards = -(-count // shard_size)
    lines["preprocessing"] = describe_preprocessing(image_size)
    lines["written"] = f"{shards - len(unfinished):,} of {shards:,} shards in {out}"
    warnings = [*source.warnings, *decoding.warnings(image_size)]
    return report_text(f"Prepared {source.name}", lines, warnings)


class Conversion:
    """Images of a source, `chosen` by number in the order of their records, with their labels."""

    def __init__(self, data, image_size, classes="", data_subset="", left_out=()):
        self.source = open_source(data, labelled=True, data_subset=data_subset)
        self.image_size, self.decoding = image_size, Decoding(self.source)
        names = self.source.class_names
        imagenet = names and all(name.lower() in imagenet_ids() for name in names)
        self.class_map = self.source.classes(1000 if imagenet else None)
        self._wanted, _ = wanted_images(self.source, self.class_map, classes.strip() or None)
        self.leave_out(left_out)

    def leave_out(self, indices):
        """Takes the images that are wanted, but those with these numbers in the source."""
        self.chosen = np.setdiff1d(self._wanted, np.array(indices, int))
        if not len(self.chosen):
            raise InputError(
                f"Got {self.source.name} without an image that can be decoded. Expected at least one."
            )
        if not self.source.shuffled:  # batches mix the records of few shards
            self.chosen = np.random.default_rng(_ORDER_SEED).permutation(self.chosen)
        labels = self.class_map.labels
        self.labels = None if labels is None else labels[self.chosen]

    def unreadable(self, numbers, progress):
        """Decodes the images of these records; returns those that can't be, by number in the source."""
        indices = np.sort(self.chosen[numbers])
        if progress:
            print(f"Checking {len(indices):,} images of {self.source.name}")
        for _ in self.decoding.pixels_of(indices, self.image_size, progress):
            pass
        return [int(index) for index, _ in self.decoding.unreadable]

    def examples_of(self, start, stop):
        """Yields the examples with the numbers from `start` to before `stop`, as `write_records` wants."""
        decoding, indices = Decoding(self.source), self.chosen[start:stop]
        labels = [None] * len(indices) if self.labels is None else self.labels[start:stop]
        decoded = decoding.pixels_of(indices, self.image_size, progress=False)
        for index, pixels, label in zip(indices, decoded, labels, strict=True):
            decoding.check_readable()  # it was sound when it was checked
            name = self.source.image_name(index) if self.source.files else None
            yield {"image": pixels, "label": label, "name": name}


def _load_examples(arguments, left_out):
    """`Conversion.examples_of` in another process."""
    return Conversion(*arguments, left_out).examples_of
