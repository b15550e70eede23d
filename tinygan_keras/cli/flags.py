"""Every flag of every command: its kind, bounds, default and meaning.

A command lists the names of its flags. A row `command.name` is for the command in which the flag `name` means
something of its own. Bounds and enums are absl's, and its messages too.
"""

import functools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags

from ..errors import InputError, UnusableFileError
from ..files import check_writable, user_path
from ..hugging_face import SCHEME
from ..runs.forecast import seconds_of_time
from ..runtimes.formats import FORMATS

_MAX_SEEDS = 10_000_000


class Flag(NamedTuple):
    """A row of the table: absl's parser, the meaning, the default (None: none), what a value looks like."""

    parser: Callable[[], flags.ArgumentParser]
    meaning: str
    default: Any = None
    example: str | None = None

    def define(self, name, flag_values):
        """Adds the flag to absl's values."""
        parser = self.parser()
        boolean = isinstance(parser, flags.BooleanParser)
        flags.DEFINE(parser, name, self.default, self.meaning, flag_values, boolean=boolean)


class _Number(flags.FloatParser):
    """absl's, which takes NaN for a number within any bounds."""

    def is_outside_bounds(self, val):
        return val != val or super().is_outside_bounds(val)


class _Place(flags.ArgumentParser):
    """A path, in which ~ is the home folder, or any other name of a model or data set."""

    def parse(self, argument):
        return os.fspath(user_path(argument)) if argument else argument


class _Output(_Place):
    """Where something is written."""

    def parse(self, argument):
        if str(argument).startswith(SCHEME):
            raise ValueError(
                "expected a place on a disk; tinygan export --format=hub writes a repository there, which "
                "hf upload takes"
            )
        return super().parse(argument)


class _Seeds(flags.ArgumentParser):
    """Seeds such as 7, 0-5 or 3,7,10-12, as a list."""

    def parse(self, argument):
        seeds = []
        for part in str(argument).split(","):
            match = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", part.strip())
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
            if not first <= last < first + _MAX_SEEDS - len(seeds):
                raise ValueError("expected whole numbers from 0 and ranges, such as 0-5 or 3,7,9")
            seeds.extend(range(first, last + 1))
        return seeds


class _Time(flags.ArgumentParser):
    """A time such as 8h or 1h30m, which stays a text."""

    def parse(self, argument):
        seconds_of_time(argument)
        return argument


text = functools.partial(Flag, flags.ArgumentParser)
place = functools.partial(Flag, _Place)
output = functools.partial(Flag, _Output)
words = functools.partial(Flag, flags.ListParser, default=())
switch = functools.partial(Flag, flags.BooleanParser, default=False)


def whole(meaning, default=None, at_least=1, example=None) -> Flag:
    """A whole number."""
    return Flag(lambda: flags.IntegerParser(at_least), meaning, default, example)


def number(meaning, default=None, at_least=None, at_most=None) -> Flag:
    """A real number within bounds."""
    return Flag(lambda: _Number(at_least, at_most), meaning, default)


def choice(meaning, choices, default=None) -> Flag:
    """One of several words."""
    return Flag(lambda: flags.EnumParser(list(choices)), meaning, default)


TABLE = {
    # Of several commands.
    "model": place(
        "Run folder, .keras file, export, teacher, name, hf://OWNER/NAME or handle.",
        example="runs/mine",
    ),
    "teacher": place(
        "Folder, name, hf://OWNER/NAME or TF-Hub handle.", example="biggan_fashion_32"
    ),
    "real": place(
        "Real images: a folder, an .npz file, a set of tinygan prepare, or a data set such as "
        "fashion_mnist:test, keras:cifar10:test or tfds:NAME; default: the run's.",
        example="fashion_mnist",
    ),
    "extractor": place(
        "Folder, name, hf://OWNER/NAME or handle; default: the run's, or inception."
    ),
    "resize": text("Kernel to its size: bilinear, pillow:bicubic, clean, ...; default: the run's."),
    "classes": text("Numbers such as 0-9,17, names, or animals; default: all.", ""),
    "seeds": Flag(_Seeds, "Seeds of the images, such as 0-5 or 3,7,9.", "0-7", "0-5"),
    "seed": whole("The same seed gives the same result.", 0, at_least=0),
    "truncation": number("From 0 to 1; default: that of the model, or 0.5.", None, 0.0, 1.0),
    "batch_size": whole("Images per call.", 32),
    "out": output("Where to write.", example="pictures/"),
    "overwrite": switch("Start anew where the folder holds a run; its files are removed."),
    "debug": switch("Show the traceback of a mistake, too."),
    # Of commands that share their work out.
    "shard_size": whole("Samples per file.", 1024),
    "worker": whole("Number of this worker, from 0.", 0, at_least=0),
    "workers": whole("How many workers share the work.", 1),
    "runner": text("Make it with this Apache Beam runner (extra beam)."),
    "beam_options": text("Options of the Beam pipeline, in one string.", ""),
    "verify": switch("Check what is in --out; make nothing."),
    # cache
    "cache.out": place("Where to write, or what to --verify.", example="cache/"),
    # distill
    "config": place("Config file.", example="experiments/fashion_mnist/config.py"),
    "workdir": output("Run folder.", example="runs/mine"),
    # plan
    "time": Flag(_Time, "Propose settings that fill so much time.", None, "8h"),
    "plan.workdir": place("Where the run will be: its disk is looked at.", "."),
    # demo
    "demo.out": output("Run folder.", "runs/demo", "runs/demo"),
    # teach
    "teach.config": place("Config file; default: by --image_size."),
    "teach.data": place("Real images, as for prepare; or what that wrote.", example="photos/"),
    "teach.image_size": whole("Side of the images: 32 (default), 64 or 128."),
    "teach.out": output("Run folder, which becomes the teacher.", example="runs/teacher"),
    # prepare
    "data": place("Folder, .npz, keras:NAME[:SPLIT] or tfds:NAME[:SPLIT].", example="photos/"),
    "image_size": whole("Side of the images, in pixels."),
    "skip_unreadable": switch("Leave out images that can't be decoded, rather than refuse them."),
    # cache
    "count": whole("Samples in all workers' shards together.", example="20000"),
    "encoding": choice("How images are kept, both lossless.", ("png", "raw"), "png"),
    "cache.import": place("Pairs of another program, in place of --teacher.", example="pairs.npz"),
    "num_classes": whole("Of imported pairs; default: those named, or the largest label + 1."),
    # import
    "import.model": place("PyTorch checkpoint, or a folder with one.", example="pytorch_model.bin"),
    "import.out": output("New folder.", example="teachers/biggan_deep_128"),
    "discriminator": switch("Keep the discriminator too, of the authors' TinyGAN."),
    "import.overwrite": switch("Replace what was imported to --out before."),
    # sample
    "sample.out": output(
        "A .png or .npz file, or a new folder; default: samples, by the --format."
    ),
    "sample.format": choice("Default: by --out.", ("png", "npz", "images", "folder", "tfrecord")),
    # evaluate
    "num_images": whole("Images to generate; default: as the run, or 10000.", None, at_least=2),
    "labels": choice("Of the real images, or in turn.", ("auto", "reference", "balanced"), "auto"),
    "metrics": words("What to measure, such as frechet_distance,kernel_distance; default: all."),
    "classification_test": place("Real images to test a classifier of generated ones (minutes)."),
    "evaluate.teacher": place("Compare with this teacher; default: the run's; none: don't."),
    "evaluate.seed": whole("Seed of the first image; default: the run's, or 2**40.", None, 0),
    # compare
    "ignore": words("Names of the protocol that may differ, such as seed or versions.tensorflow."),
    # reference
    "reference.out": output("File to write, ending in .npz.", example="real.npz"),
    # pictures
    "pictures.teacher": place("Folder or handle; none; auto: the run's, if it is here.", "auto"),
    "pictures.seed": whole("The same seed gives the same pictures.", 2**40, at_least=0),
    "per_class": whole("Images of each class for neighbours and map.", 100, at_least=2),
    "map": choice("How features become a map.", ("pca", "tsne"), "pca"),
    "seconds": number("Also a moving picture of the run's training, this long.", None, 0.1, 600),
    # export
    "export.model": place("Run folder, or .keras file.", example="runs/mine"),
    "export.out": output("New folder; for a server, a number.", example="serving/tinygan/1"),
    "export.format": choice(
        "What it is for; see above.", ("saved_model", "hub", *FORMATS), "saved_model"
    ),
    "precision": choice("Of weights and arithmetic.", ("float32", "float16", "int8"), "float32"),
    "export.batch_size": whole("Images per call; default: 1 for litert, any for the others."),
    "license": text("Of the weights, as the Hub names it (hub); default: unknown.", example="mit"),
    "base_model": text("The teacher, as OWNER/NAME on the Hub (hub); default: an hf:// teacher."),
    # page
    "page.model": place("Run folder, .keras file or name of a student.", example="runs/mine"),
    "page.teacher": place(
        "Whose pictures are shown beside; none; auto: the run's, if it is here.", "auto"
    ),
    "page.out": output("File to write, ending in .html.", "page.html"),
    "serve": switch("Open the page in the browser, from this machine, until Ctrl-C."),
    # request
    "server": text("Address with scheme and port.", example="http://127.0.0.1:8501"),
    "request.model": text("The model's name on the server.", "tinygan"),
    "request.classes": text("Numbers such as 0-9,17, and names.", example="Sneaker,8"),
    "request.truncation": number("From 0 to 1.", 0.5, 0.0, 1.0),
    "request.out": output("A .png file, or a new folder.", "samples.png"),
    "version": whole("Its version; default: the latest.", None, at_least=0),
    "version_label": text("Label of a version, in place of its number."),
    "timeout": number("Seconds for one request, repetitions included.", 30.0, 0.001),
    "retries": whole("How often to ask again a server without time.", 5, at_least=0),
    "request.batch_size": whole("Images per request.", 32),
}

RENAMED = {
    "labels": ("classes", "--classes=Sneaker,8 chooses classes"),
    "per_class": ("seeds", "--seeds=0-7 makes eight images of each class"),
    "seed": ("seeds", "--seeds=0-7 gives each image a seed"),
}
"""Flags that some commands had, with the flag to use in place of them, and how."""


def row(command: str, name: str) -> Flag:
    """The row of a command's flag."""
    return TABLE.get(f"{command}.{name}") or TABLE[name]


def file_to_write(out) -> Path:
    """The path of a file, refused if it is a folder or if nothing can be written there."""
    out = Path(out)
    if out.is_dir():
        raise UnusableFileError(f"Got --out={out}, a folder. Expected a file. Name one in it.")
    check_writable(out.parent, f"--out={out}")
    return out


def check_required(command: str, names, values):
    """Raises InputError for flags that a command can't do without."""
    missing = [name for name in names if getattr(values, name) in (None, "", [])]
    if missing:
        example = " ".join(f"--{name}={row(command, name).example}" for name in names)
        raise InputError(
            f"Got no --{' and no --'.join(missing)}. Expected it for tinygan {command}, such as {example}."
        )
