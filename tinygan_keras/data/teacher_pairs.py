"""Ready pairs (z, y, image) as a cache of teacher samples, so that any program can be a teacher.

Latents are kept as they are, whatever their length and distribution: the settings of the cache say that they
were given, and training takes its fresh latents from among them. A pair that lacks its half is left out and
named; everything else that is wrong is refused before anything is written. Memory stays flat.
"""

import math
import os
import re
import tempfile
from pathlib import Path

import numpy as np

from ..classes.folder_labels import listed
from ..embedded import find
from ..errors import InputError, MissingFileError
from ..files import check_room, content_hash
from ..hugging_face import shown_name
from ..images import check_labels, to_uint8
from ..latents import resolve_truncation
from .image_decoding import SUFFIXES, Decoding, file_text
from .image_sets import report_text
from .image_sources import ImageSource, read_archive

_KEYS = {
    "latents": ("latents", "z", "noises"),
    "labels": ("labels", "y"),
    "images": ("images", "x"),
    "class_names": ("class_names",),
}
_EXPECTED = (
    "Expected an .npz file with latents (or z) float [N, Z], labels (or y) int [N] and images (or x) "
    "[N, S, S, 3], uint8 or float in [-1, 1]; a folder with all_noises.npy, all_labels.npy and 0.png, 1.png, "
    "...; or a folder with class_0/image_0.png, class_0/noise_0.pt and so on."
)
_LONE = "what lacks its half is left out"
_CLASS, _HALF = re.compile(r"class_(\d+)"), re.compile(r"(image|noise)_(\d+)\.(?:png|jpe?g|pt)")
_BLOCK, _SHOWN, _SAMPLED = 256, 5, 32
_DEVIATION = 0.8796  # of a standard normal number cut off at two standard deviations


def import_pairs(
    pairs,
    folder,
    num_classes=None,
    class_names=None,
    truncation=None,
    shard_size=1024,
    encoding="png",
    worker=0,
    workers=1,
    progress=True,
) -> str:
    """Makes a cache of pairs that another program generated, or goes on where an earlier call was stopped.

    A run with this `teacher_cache` needs no teacher.

    Args:
        pairs: An `.npz` file with `latents` (or `z`, `noises`) float `[N, Z]`, `labels` (or `y`) int `[N]`,
            `images` (or `x`) `[N, S, S, 3]`, uint8 or float in [-1, 1], and perhaps `class_names`;
            or a folder of the TinyGAN authors' program: `all_noises.npy`, `all_labels.npy`, and images,
            named by row, `0.png`, `1.png`, ..., beside them or in a sub-folder;
            or a folder of DiStyleGAN: `class_3/image_0.png` with `class_3/noise_0.pt`, a tensor, and so on.
        folder: Where to: a folder, new or with a cache of these settings; or a URL such as gs://.
        num_classes: None for the number of names, or one more than the largest label.
        class_names: Names by label, kept with the cache.
        truncation: In [0, 1], with which a student's pictures are generated; None for the one whose latents
            have the standard deviation of the given ones.
        shard_size, encoding, worker, workers, progress: See `write_cache`.

    Returns:
        A report of what was found, left out and written.

    Raises:
        MissingFileError: there are no such pairs.
        MissingPackageError: latents are tensors of PyTorch, which isn't installed (extra `torch`).
        InputError: there is no pair; arrays have other types, shapes or ranges, or differ in length; images
            can't be decoded, or aren't squares of one size; or `folder` holds something else.
        UnusableFileError: nothing can be written there, or there is no room for it.

    Example:
        print(import_pairs("pairs.npz", "runs/cache"))
    """
    from .records.record_format import GIVEN, TEACHER_SAMPLES, RecordSettings, check_numbers, encode
    from .records.record_writer import write_records

    check_numbers(worker, workers, encoding, shard_size=shard_size)
    source = open_pairs(Path(find(pairs)))
    names = source.class_names if class_names is None else list(map(str, class_names))
    num_classes = num_classes or (len(names) if names else int(source.labels.max()) + 1)
    if names and num_classes != len(names):
        raise InputError(
            f"Got {len(names)} class names and num_classes={num_classes}. Expected the same. Leave one out."
        )
    check_labels(source.labels, source.count, num_classes, source.name)
    mean, deviation = source.moments()
    nearest = min(1.0, max(0.01, round(deviation / _DEVIATION, 2)))
    # Batches mix the records of few shards, so these are stored in random order.
    order = np.random.default_rng(0).permutation(source.count)
    sample = source.decoded(order[:_SAMPLED])
    settings = {
        "kind": TEACHER_SAMPLES,
        "content_hash": source.content(),
        "truncation": resolve_truncation(truncation, default=nearest),
        "num_classes": num_classes,
        "latent_dim": source.latents.shape[1],
        "image_size": len(sample[0]),
        "class_names": names,
        "classes": np.unique(source.labels).tolist(),
        "encoding": encoding,
        "latents": GIVEN,
    }

    def check(numbers):
        source.decoded(order[numbers], keep=False, progress=progress)
        record = RecordSettings({**settings, "shard_size": 2}, {})
        example = {"label": 0, "latent": source.latents_of([0])[0]}
        needed = sum(len(encode(record, 1, {**example, "image": pixels})) for pixels in sample)
        check_room(folder, needed * len(numbers) // len(sample), "the cache")

    def examples_of(start, stop):
        for first in range(start, stop, _BLOCK):
            indices = order[first : min(first + _BLOCK, stop)]
            columns = source.decoded(indices), source.labels[indices], source.latents_of(indices)
            for image, label, latent in zip(*columns, strict=True):
                yield {"image": image, "label": label, "latent": latent}

    unfinished = write_records(
        *(folder, settings, source.count, shard_size, examples_of, worker, workers, progress),
        labels=source.labels[order],
        provenance={"teacher": source.name},
        check=check,
    )
    shards, size, width = -(-source.count // shard_size), len(sample[0]), settings["latent_dim"]
    lines = {
        "pairs": f"{source.count:,} in {len(settings['classes']):,} of {num_classes:,} classes",
        "images": f"{size}x{size} pixels",
        "latents": f"{width} numbers, mean {mean:.3g}, standard deviation {deviation:.3g}",
        "truncation": f"{settings['truncation']:g}",
        "written": f"{shards - len(unfinished):,} of {shards:,} shards in {folder}",
    }
    return report_text(f"Pairs of {source.name}", lines, source.warnings)


class Pairs(ImageSource):
    """Pair k has the latent and label of row `rows[k]`, and `files[k]` or this row of `images`.

    What is `alone`, lists of names by what they are, is reported as left out.
    """

    def __init__(self, path, latents, labels, rows, files=None, images=None, alone=None):
        super().__init__(file_text(shown_name(path)))
        lone = {what: names for what, names in (alone or {}).items() if names}
        for what, names in lone.items():
            self.warnings.append(f"Left out {len(names):,} {what}: {listed(names, _SHOWN)}.")
        if not len(rows):
            found = " ".join(self.warnings)
            raise InputError(f"Got {path} without a single pair. {found} {_EXPECTED}")
        self.path, self.latents, self.rows = path, latents, rows
        self.files, self.images = files, images
        self.labels, self.count = labels[rows], len(rows)

    def latents_of(self, indices):
        """Float32 `[n, Z]`."""
        return np.asarray(self.latents[self.rows[indices]], "float32")

    def payloads(self, indices):
        for start in range(0, len(indices), _BLOCK):
            chosen = indices[start : start + _BLOCK]
            if self.files:
                yield from (f"{self.path}/{self.files[index]}" for index in chosen)
                continue
            images = np.asarray(self.images[self.rows[chosen]])
            if images.dtype != "uint8" and len(images) > 8 and images.min() >= 0:
                raise InputError(
                    f"Got {self.name} with floats from {images.min():g} to {images.max():g}. Expected uint8, "
                    "or floats in [-1, 1]. Scale them: 2 * images - 1."
                )
            if images.dtype != "uint8" and not (np.abs(images) <= 1.001).all():  # nor is NaN
                raise InputError(
                    f"Got {self.name} with images from {images.min():g} to {images.max():g}. Expected uint8, "
                    "or floats in [-1, 1]. Scale them."
                )
            yield from images if images.dtype == "uint8" else to_uint8(images)

    def decoded(self, indices, keep=True, progress=False) -> list:
        """Images of one size, uint8 `[S, S, 3]`, or an error that names others; [] if not to `keep`."""
        decoding = Decoding(self)
        pixels = decoding.pixels_of(indices, progress=progress)
        images = [image for image in pixels if keep]
        decoding.check_readable(f"Replace or delete them: {_LONE}.")
        decoding.check_one_size()
        return images

    def content(self) -> str:
        """A hash of what these pairs are, without decoding an image."""
        sizes = [f"{name} {os.path.getsize(self.path / name)}" for name in self.files or ()]
        images = sizes if self.files else self.images
        return content_hash(images, self.latents, self.labels, self.rows)

    def moments(self) -> tuple:
        """Mean and deviation of the numbers in the latents; warns where those of pictures will be others."""
        sums = np.zeros(3)
        for start in range(0, self.count, _BLOCK):
            block = np.asarray(self.latents[self.rows[start : start + _BLOCK]], "float64")
            sums += block.sum(), np.square(block).sum(), np.square(np.square(block)).sum()
        mean, square, fourth = sums / (self.count * self.latents.shape[1])
        if not np.isfinite(fourth):
            raise InputError(
                f"Got {self.name} with latents that aren't finite. Expected numbers. Generate those anew."
            )
        deviation = math.sqrt(max(0.0, square - mean**2))
        flat = (
            self.count > _BLOCK and fourth < 2.1 * square**2
        )  # uniform 1.8, cut off at 2 deviations 2.37
        if abs(mean) > 0.1 * deviation or deviation > 1.2 * _DEVIATION or flat:
            self.warnings.append(
                "Latents of pictures are around 0 and cut off at 2. These are others: give a student latents "
                "of your own (Generator.draw)."
            )
        return mean, deviation


def open_pairs(path: Path) -> Pairs:
    """Opens pairs of any layout, by what is in the file or folder."""
    if not path.exists():
        raise MissingFileError(f"Got the pairs {path}, which are not there. {_EXPECTED}")
    if path.is_file():
        return _archive(path)
    names = sorted(os.listdir(path))
    if "all_noises.npy" in names:
        return _numbered_images(path)
    if folders := {int(match[1]): match[0] for match in map(_CLASS.fullmatch, names) if match}:
        return _class_folders(path, folders)
    shown = listed(list(map(file_text, names)), _SHOWN) or "nothing"
    raise InputError(f"Got the folder {path} with {shown}. {_EXPECTED}")


def _archive(path):
    arrays = read_archive(path, _KEYS, ("latents", "labels", "images"), _EXPECTED)
    names = arrays.pop("class_names")
    labels, images = _checked_labels(path, **arrays), arrays["images"]
    square = images.ndim == 4 and images.shape[1:] == (images.shape[1], images.shape[1], 3)
    if not square or (images.dtype != "uint8" and images.dtype.kind != "f"):
        raise InputError(f"Got {path} with images {images.dtype} {images.shape}. {_EXPECTED}")
    pairs = Pairs(path, arrays["latents"], labels, np.arange(len(labels)), images=images)
    pairs.class_names = None if names is None else list(map(str, names))
    return pairs


def _checked_labels(path, **arrays):
    """Labels as int32 `[N]`; refuses arrays that don't go together, and what can't be latents."""
    if len({array.shape[:1] for array in arrays.values()}) > 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise InputError(f"Got {path} with {shapes}. Expected as many of each.")
    latents = arrays["latents"]
    if latents.ndim != 2 or latents.dtype.kind != "f":
        raise InputError(f"Got {path} with latents {latents.dtype} {latents.shape}. {_EXPECTED}")
    return check_labels(arrays["labels"], len(latents), name=str(path))


def _numbered_images(path):
    """The layout of the authors' program."""
    arrays = {}
    for name in ("latents", "labels"):
        file = path / {"latents": "all_noises.npy", "labels": "all_labels.npy"}[name]
        try:
            arrays[name] = np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"Got {file}, which can't be read: {error}. {_EXPECTED}") from error
    labels, latents = _checked_labels(path, **arrays), arrays["latents"]
    images, others = {}, []
    for folder, _, names in sorted(os.walk(path)):
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            row = int(stem) if stem.isdecimal() else len(latents)
            file = os.path.relpath(os.path.join(folder, name), path)
            if suffix.lower() not in SUFFIXES or name[0] == ".":
                continue
            # Latents were saved every 100 batches: the last rows are zeros, as all of them began.
            if row < len(latents) and latents[row].any() and row not in images:
                images[row] = file
            else:
                others.append(file)
    rows = np.array(sorted(images), int)
    missing = [row for row in np.setdiff1d(np.arange(len(latents)), rows) if latents[row].any()]
    alone = {"images without a latent": others}
    alone["latents without an image"] = [f"row {row} of all_noises.npy" for row in missing]
    return Pairs(path, latents, labels, rows, [images[row] for row in rows], alone=alone)


def _class_folders(path, folders):
    """The layout of DiStyleGAN's data set; its latents are collected in a temporary file."""
    pairs, others, without = [], [], []
    for label, folder in sorted(folders.items()):
        halves = {"image": {}, "noise": {}}
        for match in filter(None, map(_HALF.fullmatch, os.listdir(path / folder))):
            halves[match[1]][int(match[2])] = f"{folder}/{match[0]}"
        images, tensors = halves.values()
        pairs += [(label, images[n], tensors[n]) for n in sorted(images.keys() & tensors.keys())]
        others += [images[number] for number in sorted(images.keys() - tensors.keys())]
        without += [tensors[number] for number in sorted(tensors.keys() - images.keys())]
    labels, images, tensors = zip(*pairs, strict=True) if pairs else ((), (), ())
    latents = np.empty((0, 1), "float32")
    for row, name in enumerate(tensors):
        latent = _read_tensor(path / name)
        if not row:
            check_room(tempfile.gettempdir(), 4 * len(tensors) * latent.size, "the latents")
            with tempfile.TemporaryFile() as file:  # what is mapped stays until the array goes
                latents = np.memmap(file, "float32", "w+", shape=(len(tensors), latent.size))
        if latent.shape != latents.shape[1:]:
            raise InputError(
                f"Got {path / name} with {latent.size} numbers, and {latents.shape[1]} in {tensors[0]}. "
                "Expected latents of one length. Keep the pairs of different teachers apart."
            )
        latents[row] = latent
    alone = {"images without a latent": others, "latents without an image": without}
    return Pairs(path, latents, np.array(labels), np.arange(len(pairs)), images, alone=alone)


def _read_tensor(path):
    from ..teachers.import_weights import read_torch

    content = read_torch(path, f"a tensor of one latent, {_LONE}")
    if not hasattr(content, "numpy"):
        raise InputError(f"Got {path} with a {type(content).__name__}. Expected a tensor, {_LONE}.")
    return content.detach().float().numpy().ravel()
