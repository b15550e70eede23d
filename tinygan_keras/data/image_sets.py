"""Images to train with and to measure with: opened by one function, decoded and cropped in one way.

What fits into memory is decoded when it is opened, which also finds every file that can't be read, before a
run starts. What doesn't is converted once by `prepare_images` (`tinygan prepare`), and read from its records.
"""

import functools
import os
import shlex
import zlib

import numpy as np

from ..classes.folder_labels import listed, missing_classes
from ..classes.mapping import ClassMap
from ..classes.selection import class_numbers
from ..errors import InputError
from ..files import content_hash
from ..images import check_images, check_labels, to_float
from .image_decoding import Decoding, describe_preprocessing, file_text
from .image_sources import RecordSource, open_source
from .shuffling import shuffled_indices

MEMORY_LIMIT = 4 * 2**30
"""Bytes of decoded images that are kept in memory by default: 50,000 of 128x128 pixels fit."""
_SHOWN = 5
_AT_ONCE = 256
_MOST_NAMES = 200_000


class ImageSet:
    """Images of one size; `ArrayImages` and `RecordImages` add reading, batches and the fingerprint."""

    def __init__(self, name, class_map, warnings=(), classes=None, found=(), files=None):
        self.name, self.warnings, self.found, self.files = name, list(warnings), dict(found), files
        self.labels, self.class_names, self.num_classes = class_map
        self.classes = None if classes is None else tuple(classes)  # those that were wanted
        if self.labels is not None:
            self.warnings += missing_classes(self.labels, self.class_names, self._wanted())

    def batches(self, batch_size: int, seed=0, start_step=0, horizontal_flip=False):
        """Passes over the images again and again, each time in another order, half of them mirrored or none.

        Batch k is a pure function of the seed and k, wherever it starts: a dict of `image` float32
        `[B, S, S, 3]` in [-1, 1] and, with labels, `image_label` int32 `[B]`.
        """

        def finish(step, batch):
            images = batch["image"]
            if horizontal_flip:
                images = flip_at_random(images, seed, step)
            label = {} if self.labels is None else {"image_label": batch["label"]}
            return {"image": to_float(images), **label}

        return self._stored_batches(batch_size, seed, start_step, finish).prefetch(2)

    def draw(self, count: int, seed=0) -> "ArrayImages":
        """Returns images in memory: `count` at random and each once, or all if there are no more."""
        count = min(count, self.count)
        size = min(count, _AT_ONCE)
        batches = self._stored_batches(size, seed, 0, lambda step, batch: batch)
        batches = list(batches.take(-(-count // size)).as_numpy_iterator())
        stored = ("image",) if self.labels is None else ("image", "label")
        arrays = [np.concatenate([batch[part] for batch in batches])[:count] for part in stored]
        name = self.name if count == self.count else f"{count:,} of {self.name}"
        settings = {"num_classes": self.num_classes, "classes": self.classes, "name": name}
        return ArrayImages(*arrays, class_names=self.class_names, **settings)

    def contents(self) -> dict:
        """A checksum by name of image, for `changes_since`; empty for images without files, or too many."""
        if self.files is None or self.count > _MOST_NAMES:
            return {}
        labels = [0] * self.count if self.labels is None else self.labels.tolist()
        rows = zip(map(file_text, self.files), self.read(0, self.count), labels, strict=True)
        return {name: zlib.crc32(image.tobytes(), label) for name, image, label in rows}

    def changes_since(self, contents: dict) -> dict:
        """Lists of the names of images that are "gone", "changed" or "new" since these `contents`."""
        now = self.contents()
        changed = {name for name in contents.keys() & now.keys() if contents[name] != now[name]}
        found = {"gone": contents.keys() - now.keys(), "changed": changed}
        found["new"] = now.keys() - contents.keys()
        return {word: sorted(names) for word, names in found.items() if names}

    @functools.cached_property
    def class_counts(self) -> np.ndarray | None:
        """Int64 `[num_classes]`, or None without labels."""
        return None if self.labels is None else np.bincount(self.labels, minlength=self.num_classes)

    def report(self, horizontal_flip=False) -> str:
        """Returns what was found, as lines to print."""
        lines = {"images": f"{self.count:,}"}
        if self.labels is not None:
            counts = self.class_counts
            present = np.flatnonzero(counts)
            least, most = (int(present[pick(counts[present])]) for pick in (np.argmin, np.argmax))
            of_all = f", of {self.num_classes:,} in all" if self.classes is not None else ""
            lines["images"] += f" in {len(present):,} of {len(self._wanted()):,} classes{of_all}"
            fewest, most = (
                f"{counts[label]:,} ({word}: {_named(label, self.class_names)})"
                for word, label in (("fewest", least), ("most", most))
            )
            lines["images per class"] = f"{fewest} to {most}"
        lines |= self.found
        lines["preprocessing"] = describe_preprocessing(self.image_size, horizontal_flip)
        return report_text(f"Real images: {self.name}", lines, self.warnings)

    def _wanted(self):
        return range(self.num_classes) if self.classes is None else self.classes

    def __repr__(self):
        size = self.image_size
        return f"{type(self).__name__}({self.name!r}): {self.count:,} images {size}x{size}x3"


class ArrayImages(ImageSet):
    """Images uint8 `[N, S, S, 3]` in memory, with labels int `[N]` and `files`, or None."""

    def __init__(self, images, labels=None, class_names=None, name="array", warnings=(), **more):
        self._images = check_images(images, name)
        self.count, self.image_size = self._images.shape[:2]
        class_names = None if class_names is None else tuple(map(str, class_names))
        num_classes = more.pop("num_classes", None) or (len(class_names) if class_names else None)
        if labels is not None:
            labels = check_labels(labels, self.count, num_classes, name)
            num_classes = num_classes or int(labels.max()) + 1
        super().__init__(name, ClassMap(labels, class_names, num_classes), warnings, **more)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Returns the images from `start` up to `stop`, uint8 `[n, S, S, 3]`, cut off at the end."""
        return np.asarray(self._images[start:stop])

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of images and labels, wherever they are; resuming expects the same."""
        return content_hash(self._images, "" if self.labels is None else self.labels)

    def _stored_batches(self, batch_size, seed, start_step, finish):
        """Endless data set of `finish(step, {"image": uint8, "label": int32})`; no label without labels."""
        import tensorflow as tf

        shape = (batch_size, self.image_size, self.image_size, 3)

        def batch(step):
            index = shuffled_indices(step, batch_size, self.count, seed)
            # From NumPy: a constant would be a second copy, and as part of a graph be limited to 2 GB.
            images = tf.numpy_function(lambda rows: self._images[rows], [index], tf.uint8, False)
            label = {} if self.labels is None else {"label": tf.gather(self.labels, index)}
            return finish(step, {"image": tf.ensure_shape(images, shape), **label})

        steps = tf.data.Dataset.counter(start_step, dtype=tf.int64)
        return steps.map(batch, num_parallel_calls=tf.data.AUTOTUNE)


class RecordImages(ImageSet):
    """Images of a prepared record set, read from its files as they are needed."""

    def __init__(self, source: RecordSource, class_map, classes=None):
        self._records = source.records
        self.count, self.image_size, self.read = source.count, source.image_size, self._records.read
        super().__init__(source.name, class_map, source.warnings, classes, source.found)
        labels = "" if self.labels is None else self.labels
        self.fingerprint = content_hash(self._records.fingerprint, labels)

    def _stored_batches(self, batch_size, seed, start_step, finish):
        import tensorflow as tf

        if self.labels is None:
            return self._records.decoded_batches(batch_size, seed, start_step, finish)
        # From the numbers in the records to those of the teacher.
        table = np.zeros(int(self._records.labels.max()) + 1, "int32")
        table[self._records.labels] = self.labels

        def renumbered(step, batch):
            return finish(step, {**batch, "label": tf.gather(table, batch["label"])})

        return self._records.decoded_batches(batch_size, seed, start_step, renumbered)


def flip_at_random(images, seed: int, step):
    """Mirrors half of the images `[B, H, W, C]` left to right; seed, step and place decide which ones."""
    import tensorflow as tf

    key = tf.stack([tf.cast(seed, tf.int64), tf.cast(step, tf.int64)])
    mirrored = tf.random.stateless_uniform((tf.shape(images)[0],), key) < 0.5
    return tf.where(mirrored[:, None, None, None], tf.reverse(images, axis=[2]), images)


def open_images(
    data,
    image_size=None,
    num_classes=None,
    classes=None,
    class_names=None,
    data_subset="",
    memory_limit=MEMORY_LIMIT,
    progress=True,
) -> ImageSet:
    """Opens images to train with or to measure with.

    Args:
        data: One of
            "fashion_mnist" or "fashion_mnist:test", 32x32, from wherever it is;
            "cifar10", "cifar100", "mnist", also with "keras:" in front, training images, or with ":test"
            behind it;
            "tfds:imagenet2012", "tfds:cifar10" or any other labelled images that TensorFlow Datasets has
            prepared, with ":validation" or another split behind them if need be;
            a folder: with a sub-folder per class, called by a number, a wnid such as "n01440764" or a name;
            or with files that are named as `tinygan sample --out=folder/` names them; or with others;
            an `.npz` file with `images` uint8 `[N, S, S, 3]` or gray `[N, H, H]` (28x28 is padded to 32x32)
            and, if there are any, `labels` int `[N]` and `class_names`;
            a folder that `prepare_images` wrote.
        image_size: Height and width that images are cropped and resized to; None to take them as they are:
            they have to be square and of one size then, since a Frechet distance measures the resizing too.
        num_classes: Number of classes of the teacher whose labels the images get; the class of every image
            is needed then, and of a folder with a sub-folder `train`, this one is taken.
        classes: Classes that are wanted, by number or name; None for all.
        class_names: Names by label. Labels become those of these names, or of ImageNet's names and wnids if
            there are 1000. Without both, labels count the classes of the data in their order.
        data_subset: The file to read when Fashion-MNIST is not on this machine; "" to download it.
        memory_limit: Bytes of decoded images that may be kept in memory.
        progress: Show a progress bar where decoding takes long.

    Returns:
        `ImageSet` with `name`, `count`, `image_size`, `labels` int32 `[count]` or None, `num_classes`,
        `class_names` tuple or None, `classes` (those wanted, or None), `class_counts`, `fingerprint`, `files`
        (list of the images' files relative to the folder, or None if they aren't files of one),
        `read(start, stop)` and `batches(...)`. Its `warnings` and `report()` say what was found, converted
        and left out.

    Raises:
        MissingFileError: nothing has this name, or a data set is not on this machine.
        MissingPackageError: TensorFlow Datasets is not installed.
        InputError: no images, files that can't be read, mixed sizes, classes that are not known, labels that
            are missing, or more than fits into memory.

    Example:
        real = open_images("photos/", image_size=128, class_names=("cat", "dog"))
        test = open_images("keras:cifar10:test")
    """
    if image_size is not None and (not isinstance(image_size, (int, np.integer)) or image_size < 1):
        raise InputError(
            f"Got image_size={image_size!r}. Expected a number of pixels, or None. Give class names by their "
            "keyword, class_names=."
        )
    labelled = num_classes is not None
    source = open_source(data, num_classes, class_names, labelled, data_subset)
    prepared = isinstance(source, RecordSource) and image_size in (None, source.image_size)
    size = image_size or getattr(source, "image_size", None)
    if size and classes is None and not prepared:
        # Before labels are looked for, which may take minutes.
        _check_fits(source.count, size, source, data, memory_limit)
    class_map = source.classes(num_classes, class_names)
    if labelled and class_map.labels is None:
        raise InputError(
            f"Got {source.name} without labels. Expected the class of every real image. Sort the images "
            "into a folder per class, or add the array labels, int [N], to the .npz file."
        )
    chosen, classes = wanted_images(source, class_map, classes)
    if prepared and len(chosen) == source.count:
        return RecordImages(source, class_map, classes)
    images, decoding = None, Decoding(source)
    for place, pixels in enumerate(decoding.pixels_of(chosen, image_size, progress)):
        if pixels is None or pixels.shape[0] != pixels.shape[1]:
            continue
        if images is None:
            _check_fits(len(chosen), len(pixels), source, data, memory_limit)
            images = np.empty((len(chosen), *pixels.shape), "uint8")
        if pixels.shape == images.shape[1:]:
            images[place] = pixels
    decoding.check_readable()
    if not image_size:
        decoding.check_one_size()
    labels, names, num_classes = class_map
    return ArrayImages(
        images,
        None if labels is None else labels[chosen],
        names,
        source.name,
        (*source.warnings, *decoding.warnings(image_size)),
        num_classes=num_classes,
        classes=classes,
        found={**source.found, "sizes": decoding.sizes_text()},
        files=source.files and [source.files[index] for index in chosen],
    )


def open_training_images(
    name, image_size: int, num_classes: int, classes=None, class_names=None, data_subset=""
) -> ImageSet | None:
    """Opens the real images that the discriminator sees, with the class numbers of the teacher.

    Args:
        name: "none" for data-free training, or see `open_images`, as for the others.

    Returns:
        `ImageSet`, or None for "none".

    Example:
        real = open_training_images("photos/", 128, 1000, range(398))
        print(real.report())
    """
    given = name, image_size, num_classes, classes, class_names, data_subset
    return None if str(name) == "none" else open_images(*given)


def wanted_images(source, class_map, classes):
    """The images of a source, by number, that are of these classes (None: all), and the labels of these."""
    if classes is None:
        return np.arange(source.count), None
    if class_map.labels is None:
        raise InputError(
            f"Got classes of {source.name}, which has no labels. Expected labelled images. Leave out classes."
        )
    names = class_map.class_names
    labels = class_numbers(classes, class_map.num_classes, names, distinct=True).tolist()
    chosen = np.flatnonzero(np.isin(class_map.labels, labels))
    if not len(chosen):
        wanted = [_named(label, names) for label in labels]
        raise InputError(
            f"Got {source.name} without a single image of the classes {listed(wanted, _SHOWN)}. Expected at "
            "least one. Change the setting classes, or give another data set."
        )
    if len(chosen) < source.count:
        source.found["left out"] = f"{source.count - len(chosen):,} images of other classes"
    return chosen, labels


def report_text(title, lines: dict, warnings) -> str:
    """A title, lines with their own titles, and warnings, as text to print."""
    width = max(map(len, lines)) + 2
    rows = [f"  {name + ':':<{width}}{text}" for name, text in lines.items()]
    return "\n".join([title, *rows, *(f"  Warning: {warning}" for warning in warnings)])


def _named(label, class_names):
    return f"{label} {class_names[label]}" if class_names else str(label)


def _check_fits(count, size, source, data, limit):
    needed = count * size * size * 3
    if needed > limit:
        command = f"tinygan prepare --data={shlex.quote(os.fspath(data))} --image_size={size} --out=prepared"
        raise InputError(
            f"Got {count:,} images of {source.name}, {needed / 2**30:.1f} GiB when decoded. Expected at most "
            f"{limit / 2**30:.1f} GiB to keep in memory. Convert them once, and open prepared/ instead:\n"
            f"  {command}"
        )
