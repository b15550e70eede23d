"""What a cache of teacher images is worth: making it, reading it, and training from it or from the teacher.

    python experiments/benchmarks/cache.py                     # 6 minutes, 4 GB; twice that on a busy machine

The teacher is the stand-in of biggan-deep-128's size (made on the first call, 400 MB), the networks are
`tinygan_128`, batch 8. In every round each of five things is done once for a while, so that what else
the machine does hits all of them; the quickest round counts.

- teacher alone: calls of the batch size with which the cache is made, images brought to the host.
- making a cache: `write_cache` from an empty folder to checked files, of as many images.
- reading it: batches of floats, as training takes them, with nobody training.
- a step with the cache, and a step with the teacher in it: `TinyGAN.fit`, both with the same real images in
  memory, five steps at a time, of which one is an adversarial one.

The cache is small and lies in the page cache: reading measures decoding and shuffling, not a disk. At
the rate wanted, a disk has to deliver 10 MB/s.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from tinygan_keras.data.batches import distillation_batches
from tinygan_keras.data.keras_sets import LabelledImages
from tinygan_keras.data.teacher_cache import TeacherCache, write_cache
from tinygan_keras.latents import sample_latents
from tinygan_keras.runs.components import build_model
from tinygan_keras.runs.config import default_config
from tinygan_keras.teachers.hub import HubTeacher

FLAGS = flags.FLAGS
flags.DEFINE_string("teacher", "runs/stand_in_128", "Folder of the stand-in; made if missing.")
flags.DEFINE_integer("batch_size", 8, "Images of each kind per step.")
flags.DEFINE_integer("images", 64, "Images drawn alone, and images of a cache, in each round.")
flags.DEFINE_integer("drawn_at_once", 16, "Images per call of the teacher when a cache is made.")
flags.DEFINE_integer("rounds", 3, "Rounds.", lower_bound=1)
flags.DEFINE_enum("encoding", "png", ["png", "raw"], "How the cache keeps images.")

SCRIPTS = Path(__file__).resolve().parent.parent / "imagenet_128"
STEPS = 5  # one of them adversarial
READ_BATCHES = 100
LEAST_SPEEDUP, LEAST_DELIVERY, LEAST_MAKING = 8.0, 20.0, 0.9


class StepClock(keras.callbacks.Callback):
    """Notes when a step was over."""

    def on_train_begin(self, logs=None):
        self.times = []

    def on_train_batch_end(self, batch, logs=None):
        self.times.append(time.perf_counter())


def open_teacher(folder):
    if not Path(folder).exists():
        print(f"making {folder}", flush=True)
        sys.path.append(str(SCRIPTS))
        from make_stand_in import write_stand_in

        write_stand_in(folder)
    return HubTeacher(folder, truncation=0.5)


def draw_alone(teacher):
    """Seconds for the images of a round, drawn as a cache draws them."""
    count = FLAGS.drawn_at_once
    latents = tf.constant(sample_latents(count, teacher.latent_dim, teacher.truncation))
    labels = tf.range(count)
    start = time.perf_counter()
    for _ in range(0, FLAGS.images, count):
        np.asarray(teacher(latents, labels))
    return time.perf_counter() - start


def make_cache(teacher, folder):
    """Seconds for a cache of as many images."""
    start = time.perf_counter()
    write_cache(teacher, folder, FLAGS.images, **cache_settings())
    return time.perf_counter() - start


def cache_settings():
    return {
        "shard_size": FLAGS.images // 2,
        "batch_size": FLAGS.drawn_at_once,
        "encoding": FLAGS.encoding,
        "progress": False,
    }


def read_cache(folder):
    """Seconds per image that is read, decoded, shuffled and batched."""
    batches = iter(TeacherCache(folder).batches(FLAGS.batch_size, seed=1))
    for _ in range(10):  # fills what is read ahead
        next(batches)
    start = time.perf_counter()
    for _ in range(READ_BATCHES):
        next(batches)
    return (time.perf_counter() - start) / (READ_BATCHES * FLAGS.batch_size)


def trainer(source, teacher=None):
    """Returns a function that trains for a few steps and returns the seconds of one."""
    config = default_config()
    config.batch_size = FLAGS.batch_size
    model = build_model(config)
    model.teacher = teacher
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (64, 128, 128, 3), dtype="uint8")
    real = LabelledImages(images, random.integers(0, 1000, 64, "int32"), "noise")
    batches = distillation_batches(source, real, FLAGS.batch_size, truncation=0.5)
    clock = StepClock()

    def train():
        # The first step of a call waits for the pipeline to start.
        settings = {"steps_per_epoch": STEPS + 1, "shuffle": False, "verbose": 0}
        model.fit(batches, callbacks=[clock], **settings)
        return (clock.times[-1] - clock.times[0]) / STEPS

    return train


def measure(scratch):
    """Returns the seconds of every round by what was done: per image, or per step."""
    teacher = open_teacher(FLAGS.teacher)
    print(teacher, flush=True)
    teacher.content_hash  # noqa: B018, reads 400 MB once
    write_cache(teacher, scratch / "kept", FLAGS.images, **cache_settings())
    actions = {
        "teacher alone": lambda: draw_alone(teacher) / FLAGS.images,
        "making a cache": lambda: make_cache(teacher, scratch / "made") / FLAGS.images,
        "reading it": lambda: read_cache(scratch / "kept"),
        "step with the cache": trainer(TeacherCache(scratch / "kept")),
        "step with the teacher": trainer(teacher, teacher),
    }
    for action in actions.values():  # traces and allocates
        action()
    seconds = {name: [] for name in actions}
    for number in range(FLAGS.rounds):
        print(f"round {number + 1} of {FLAGS.rounds}", flush=True)
        for name, action in actions.items():
            shutil.rmtree(scratch / "made", ignore_errors=True)
            seconds[name].append(action())
    return seconds


def main(argv):
    del argv
    with tempfile.TemporaryDirectory() as scratch:
        report(measure(Path(scratch)))


def report(seconds):
    """Prints the table, and whether the targets are met."""
    quickest = {name: min(rounds) for name, rounds in seconds.items()}
    print(f"\n128 px, batch {FLAGS.batch_size}, images as {FLAGS.encoding}\n")
    print("| | seconds | all rounds | images per second |\n|---|---:|---|---:|")
    for name, rounds in seconds.items():
        images = FLAGS.batch_size if name.startswith("step") else 1
        every = ", ".join(f"{value:.3g}" for value in rounds)
        rate = images / quickest[name]
        print(f"| {name} | {quickest[name]:.3g} | {every} | {rate:,.1f} |")
    step = quickest["step with the cache"]
    ratios = (
        ("step: teacher over cache", quickest["step with the teacher"] / step, LEAST_SPEEDUP),
        (
            "reading over consuming",
            step / FLAGS.batch_size / quickest["reading it"],
            LEAST_DELIVERY,
        ),
        (
            "making over drawing alone",
            quickest["teacher alone"] / quickest["making a cache"],
            LEAST_MAKING,
        ),
    )
    print("\n| | measured | wanted | |\n|---|---|---|---|")
    for name, ratio, wanted in ratios:
        met = "met" if ratio >= wanted else "MISSED"
        print(f"| {name} | {ratio:.2f} | >= {wanted:g} | {met} |")


if __name__ == "__main__":
    app.run(main)
