"""What a run will cost, before it is started: `plan(config)` tries every phase of it for a few seconds.

The trial is the run itself, in a temporary folder: the components, step, callbacks, evaluation and export of
`distill.py`, with few steps and few images, whose times are then scaled. Rejected: counting operations, which
says nothing of a machine that waits for its memory, its disk or another program.
"""

import contextlib
import dataclasses
import io
import math
import os
import sys
import tempfile
import time as clock
import warnings
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ..data.teacher_cache import TeacherCache, write_cache
from ..data.teacher_samples import TeacherSamples, generate_samples
from ..errors import InputError, UnusableFileError
from ..evaluation.real_statistics import measure_reference, open_real_statistics
from ..files import check_room
from .components import open_batches, open_components, without_teacher
from .config import default_config, epochs, tracker_names, validate
from .devices import Workers, make_strategy
from .distill import ROOM_FOR, Run, disk_needed, save_results, train, watchers
from .forecast import (
    USUAL_PASSES,
    expected_quality,
    propose,
    seconds_of_time,
    sensible_passes,
    warnings_of,
)
from .measuring import peak_memory, reference_evaluation, summarize, time_evaluations
from .progress_pictures import Gallery
from .run_folder import RunFolder, Stopwatch
from .teacher_config import default_teacher_config
from .trackers import check_trackers

_SAMPLING_BATCH = 256  # of `sample_teacher`
_BLOCK = 250  # images that `evaluate` generates and measures together
_PATIENCE = 2.0  # seconds for what may be slow, such as a batch of a large teacher
_STEPS_SECONDS, _EPOCHS = 4.0, 3  # of steps that are timed, in so many epochs
_BLOCKS = 50  # of steps in each of these, at most
_CACHED = 256  # samples of the temporary cache
_REFERENCE_SECONDS = 20.0  # for statistics of real images, which stay for the run
_COPIES = 3  # of teacher samples in memory: the list, the arrays, the data set's


def plan(config, time: str | None = None, workdir=".") -> dict:
    """Predicts time, memory, disk and quality of a run of `distill`, by trying each phase on this machine.

    It takes three quarters of a minute on two CPU cores with networks of 32 pixels, and minutes where a
    teacher draws an image in a tenth of a second. Nothing is left but the statistics of real images, which
    the run would measure first, where they take seconds.

    Args:
        config: Settings, as for `distill`.
        time: How long a run may take, such as "8h" or "1h30m": proposes settings that fill it. None: none.
        workdir: Where the run will be, whose disk is looked at. Nothing is written there.

    Returns:
        A dict: `seconds` and `seconds_by_phase` as in the report of a run, `step_seconds`, `compile_seconds`,
        `samples` (seen in the training), `passes` (over each pair; None with a live teacher), `memory` and
        `disk` (bytes), `cache` (of each sample: seconds to `write` and to `read` it, and its `bytes`),
        `quality` (see `forecast.expected_quality`), `warnings`, and `proposal` (with `time`: `settings`,
        `seconds`, and with a live teacher `cache`). There are more, from which these come.

    Raises:
        InputError, MissingFileError, UnusableFileError: as for `distill`; a time that is none; a config of
            `teach`, one for several hosts, or one with `debug` and a time. A disk too small for the run is
            among the warnings.

    Example:
        config = default_config()
        config.teacher, config.truncation = "biggan_fashion_32", 1.0
        config.student = config.discriminator = "tinygan_fashion_32"
        seconds = plan(config)["seconds"]
    """
    seconds_there = None if time is None else seconds_of_time(time)
    _check_kind(config)
    config = without_teacher(validate(config))
    if config.devices == "multi_worker":
        raise InputError(
            "Got devices='multi_worker'. Expected the devices of this host: a plan doesn't wait for the "
            "others. Set --config.devices=mirrored with the batch_size of one host."
        )
    if config.debug and seconds_there is not None:
        raise InputError(
            f"Got time={time!r} and debug=True, whose steps are few whatever the time. Expected one of them. "
            "Leave out --config.debug to have steps proposed."
        )
    check_trackers(config)
    with tempfile.TemporaryDirectory(prefix="tinygan_plan_") as temporary:
        trial = _Trial(config, Path(temporary))
        trial.prepare()
        trial.time_teacher()
        trial.time_training()
        trial.time_evaluation()
        trial.time_export()
    return _result(config, trial, seconds_there, workdir)


def _check_kind(config):
    """Refuses the config of a teacher's training."""
    only_there = set(default_teacher_config()) - set(default_config())
    if found := sorted(only_there & set(config)):
        raise InputError(
            f"Got a config with {found[0]}, which is one of tinygan teach. Expected one of tinygan distill: "
            "the training of a teacher can't be planned. Try tinygan teach with --config.debug, and look at "
            "seconds.json of its folder."
        )


class _StepTimer(keras.callbacks.Callback):
    """Times blocks of steps, and stamps where epochs begin and end."""

    def __init__(self, block):
        super().__init__()
        self.block = block
        self.blocks, self.epoch_begins, self.epoch_ends = [], [], []
        self.first_end = None  # of a block, with the tracing in it

    def on_epoch_begin(self, epoch, logs=None):
        self._stamp = clock.perf_counter()
        self.epoch_begins.append(self._stamp)

    def on_train_batch_end(self, batch, logs=None):
        if (batch + 1) % self.block:
            return
        int(keras.ops.convert_to_numpy(self.model.step))  # waits for the devices
        now = clock.perf_counter()
        self.blocks.append(now - self._stamp)
        self._stamp = now
        self.first_end = self.first_end or now

    def on_epoch_end(self, epoch, logs=None):
        self.epoch_ends.append(clock.perf_counter())


class _Trial:
    """The phases of a run, each tried; what was found lies in attributes, seconds but where they say so."""

    def __init__(self, config, folder):
        self.config, self.out = config, sys.stdout
        self.quiet = contextlib.redirect_stdout(io.StringIO())
        self.folder, self.cache_folder = RunFolder(folder / "run"), folder / "cache"
        self.folder.path.mkdir()

    @property
    def teacher(self):
        """The teacher; None where the run has only its cache."""
        return None if self.config.teacher == "none" else self.components.teacher

    def prepare(self):
        """Opens everything, as the run does, which takes as long there."""
        self._say("Opening teacher, data and networks")
        start = clock.perf_counter()
        with self.quiet:
            self.strategy = make_strategy(self.config.devices)
            self.components = open_components(self.config, self.strategy)
            opened = clock.perf_counter()
            self.gallery = Gallery(self.components, self.config)
        self.preparation = clock.perf_counter() - start
        # At most: the first call is the slowest.
        self.teacher_each = (clock.perf_counter() - opened) / len(self.gallery.labels)

    def time_teacher(self):
        """Generates some samples, writes a few of them into a cache, and reads it."""
        config, components = self.config, self.components
        self.samples = self.cache = None
        if self.teacher is None:
            self.teacher_each = 0.0
            return
        self._say("Generating images of the teacher, and caching a few")
        batch = _affordable(_SAMPLING_BATCH, self.teacher_each)
        classes = np.array(components.classes or range(self.teacher.num_classes))
        batches, durations = [], []
        start = clock.perf_counter()
        for samples in generate_samples(self.teacher, classes, config.seed, 0, 9 * batch, batch):
            batches.append(samples)
            durations.append(clock.perf_counter() - start)
            if len(durations) > 1 and sum(durations) > _PATIENCE:
                break
            start = clock.perf_counter()
        self.teacher_each = float(np.median(durations[1:])) / batch
        if config.teacher_samples:
            some = TeacherSamples(*map(np.concatenate, zip(*batches, strict=True)))
            # At least a batch of the training: some are in it twice.
            numbers = np.resize(
                np.arange(len(some.labels)), max(len(some.labels), config.batch_size)
            )
            self.samples = TeacherSamples(*(array[numbers] for array in some))
        with self.quiet:
            self.cache = self._try_cache(_affordable(_CACHED, self.teacher_each))

    def _try_cache(self, count) -> dict:
        """Writes a cache of so many samples and reads it: seconds and bytes of a sample."""
        classes, names = self.components.classes, self.components.class_names
        settings = {"batch_size": min(count, 32), "class_names": names, "progress": False}
        start = clock.perf_counter()
        write_cache(self.teacher, self.cache_folder, count, classes=classes, **settings)
        written = clock.perf_counter() - start
        sizes = (path.stat().st_size for path in self.cache_folder.iterdir())
        batches = TeacherCache(self.cache_folder).batches(min(count, 32)).as_numpy_iterator()
        next(batches)
        start, read = clock.perf_counter(), 0
        while clock.perf_counter() - start < 0.5:
            read += len(next(batches)["label"])
        return {
            "write": written / count,
            "read": (clock.perf_counter() - start) / read,
            "bytes": max(sizes) / count,  # the shard; what else is there doesn't grow
        }

    def time_training(self):
        """Traces the real step, times it, and what comes before the first and after every epoch."""
        config, components, model = self.config, self.components, self.components.model
        self._say("Tracing the training step, and timing three short epochs")
        # Adversarial steps cost more than others, and a call of the graph may be of several steps.
        block = math.lcm(config.adversarial_interval, config.steps_per_execution)
        block *= -(-4 // block)
        tracing = _StepTimer(block)
        with self.quiet:
            start = clock.perf_counter()
            model.fit(
                self._batches(),
                steps_per_epoch=2 * block,
                verbose=0,
                callbacks=[tracing],
                shuffle=False,
            )
        blocks = max(2, min(_BLOCKS, int(_STEPS_SECONDS / _EPOCHS / tracing.blocks[1])))
        trial = config.copy_and_resolve_references()
        steps = {"steps": _EPOCHS * blocks * block, "steps_per_epoch": blocks * block}
        trial.update({**steps, "evaluate_every": 0})
        kept = [name for name in tracker_names(config.trackers) if name in ("csv", "tensorboard")]
        trial.trackers = ",".join(kept)  # no record anywhere else
        workers = Workers(self.strategy)
        self.run = Run(trial, self.folder, workers, Stopwatch(), components, self._batches)
        pictures, alarm = watchers(config, components, self.folder, self.gallery)
        if alarm:
            alarm.patience = sys.maxsize  # it looks and keeps, and ends nothing
        timer = _StepTimer(block)
        with self.quiet:
            began = clock.perf_counter()
            train(self.run, None, pictures, alarm, [timer])
        # With all callbacks of a run, some of which have something to do at every step.
        self.step_seconds = float(np.median(timer.blocks)) / block
        self.steps_timed = len(timer.blocks) * block
        traced = tracing.first_end - start - block * self.step_seconds
        self.compile_seconds = max(0.0, traced)
        # The first end of an epoch has tracing in it. Any may wait for the disk to take the checkpoint of
        # the epoch before, which is done long before the next where epochs are longer.
        ends = [b - a for a, b in zip(timer.epoch_ends, timer.epoch_begins[1:], strict=False)]
        self.epoch_seconds = min(ends)
        self.start_seconds = timer.epoch_begins[0] - began + ends[0] - self.epoch_seconds

    def _batches(self, start_step=0):
        return open_batches(self.config, self.components, start_step, self.samples)

    def time_evaluation(self):
        """Evaluates few images and more: what an image takes, and what an evaluation takes besides."""
        config = self.config
        few = min(_affordable(_BLOCK, self.teacher_each), config.evaluation_images)
        trial = config.copy_and_resolve_references()
        trial.evaluation_images = few
        self._say("Measuring speed and parameters, and evaluating a few images")
        self.training_evaluation = self.evaluated_each = 0.0
        with self.quiet, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of so few images
            components, self.evaluation = self._with_statistics(few)
            start = clock.perf_counter()
            self.report = summarize(components, trial, self.folder)
            self.evaluation += clock.perf_counter() - start
            if components.extractor is None:
                return
            self.evaluated_each, _ = self._law(components, few, True)
            measured = self._measures_reference(components)
            alone = fixed = 0.0
            if measured or config.evaluate_every:
                alone, fixed = self._law(components, few, False)
        each = self.evaluated_each + (alone if measured else 0.0)
        self.evaluation += each * (config.evaluation_images - few)
        self.training_evaluation = fixed + alone * config.training_evaluation_images

    def _measures_reference(self, components) -> bool:
        """Whether the run will measure a reference student, whose own evaluation isn't of its protocol."""
        if components.reference_student is None:
            return False
        protocol = self.report["protocol"] | {"generated_images": self.config.evaluation_images}
        fewer = ("real_images", "real_features", "reference")  # in a trial
        return not reference_evaluation(components, self.config, protocol, fewer)

    def _law(self, components, few, with_teacher) -> tuple:
        """Seconds of an image, and of all else, in an evaluation of the student."""
        counts = few, 2 * few
        some, more = time_evaluations(components, self.config, counts, with_teacher)
        # Features of the first have the tracing in them, which the report's evaluation has already.
        of_metrics = max(0.0, more["metrics"] - some["metrics"]) / (counts[1] - few)
        return more["features"] / counts[1] + of_metrics, some["metrics"]

    def _with_statistics(self, few) -> tuple:
        """The components with the statistics of real images, of few where all take long; what these take."""
        components, extractor = self.components, self.components.extractor
        images = components.measured_images
        if extractor is None or images is None:
            return components, 0.0
        drawn = images.draw(few, self.config.sample_seed)
        extractor(drawn.read(0, drawn.count))  # traces it
        start = clock.perf_counter()
        statistics = measure_reference(drawn, extractor, progress=False)
        seconds = (clock.perf_counter() - start) / drawn.count * images.count
        if seconds < _REFERENCE_SECONDS:  # measured for the run to come, which finds them
            names = components.class_names
            statistics = open_real_statistics(images, extractor, names, progress=False)
            seconds = 0.0
        return dataclasses.replace(components, measured_images=statistics), seconds

    def time_export(self):
        """Saves student, export and pictures, as at the end of a run."""
        self._say("Exporting the student")
        start = clock.perf_counter()
        with self.quiet:
            save_results(self.run, self.gallery, self.report)
        self.export = clock.perf_counter() - start

    def _say(self, text):
        print(f"{text} ...", file=self.out, flush=True)


def _affordable(most, *seconds_each) -> int:
    """How many of at most so many images can be generated in a few seconds; at least eight."""
    return int(min(most, max(8, _PATIENCE / max(1e-9, *seconds_each))))


def _result(config, trial, time, workdir) -> dict:
    """What a plan says, from what the trial has found."""
    components, count = trial.components, epochs(config)
    samples = config.steps * config.batch_size
    live = not config.teacher_samples and components.cache is None
    pairs = config.teacher_samples or (None if live else components.cache.count)
    sampling = -(-config.teacher_samples // _SAMPLING_BATCH) * _SAMPLING_BATCH * trial.teacher_each
    evaluations = _evaluations(config, count) * trial.training_evaluation
    every_epoch = count * trial.epoch_seconds
    steps = config.steps * trial.step_seconds
    seconds = {
        "preparation": trial.preparation,
        "teacher_samples": sampling,
        "training": trial.compile_seconds + trial.start_seconds + steps + every_epoch + evaluations,
        "evaluation": trial.evaluation,
        "export": trial.export,
    }
    total = sum(seconds.values())
    classes = len(components.classes or range(components.model.student.num_classes))
    memory, gpu = _memory(config, trial)
    disk = disk_needed(components.model, config)
    room = None
    try:
        check_room(workdir, disk, ROOM_FOR)
    except UnusableFileError as error:
        room = str(error)
    replicas = trial.strategy.num_replicas_in_sync
    share = config.batch_size * trial.teacher_each / trial.step_seconds if live else 0.0
    result = {
        "seconds": total,
        "seconds_by_phase": seconds,
        "step_seconds": trial.step_seconds,
        "steps_timed": trial.steps_timed,
        "compile_seconds": trial.compile_seconds,
        "epoch_seconds": trial.epoch_seconds,
        "training_evaluation_seconds": trial.training_evaluation,
        "evaluated_a_second": 1 / trial.evaluated_each if trial.evaluated_each else None,
        "teacher_images_a_second": 1 / trial.teacher_each if trial.teacher_each else None,
        "epochs": count,
        "evaluations": _evaluations(config, count),
        "samples": samples,
        "pairs": pairs,
        "passes": samples / pairs if pairs else None,
        "teacher_share": min(1.0, share),
        "parameters": trial.report["student"]["parameters"],
        "classes": classes,
        "memory": memory,
        "memory_there": _memory_there(),
        "gpu_memory": gpu,
        "disk": disk,
        "cache": trial.cache,
        "quality": expected_quality(
            components.model.student.image_size,
            classes,
            samples,
            components.model.student.latents != "dense",
            components.teacher.teacher if trial.teacher is None else config.teacher,
        ),
        "proposal": None,
        "config": config.to_dict(),
    }
    pieces = config.accumulate_steps * (1 if config.synchronized_batch_norm else replicas)
    facts = {
        "evaluation_seconds": trial.evaluation + evaluations,
        "piece": config.batch_size // pieces,
        "disk": room,
    }
    result["warnings"] = warnings_of(result | facts)
    if time is not None:
        fixed = total - steps - sampling
        result["proposal"] = _proposal(config, trial, time, fixed, result)
    return result


def _evaluations(config, count) -> int:
    """How often a training of so many epochs is evaluated: after the first, every few, and the last."""
    if not config.evaluate_every:
        return 0
    return len({1, count, *range(config.evaluate_every, count + 1, config.evaluate_every)})


def _memory(config, trial) -> tuple:
    """Bytes of memory that the run needs, and of that of the first GPU; None without one."""
    more = max(0, config.teacher_samples - len(trial.samples.labels) if trial.samples else 0)
    used = (peak_memory() or 0) * 2**30
    gpu = None
    if tf.config.list_logical_devices("GPU"):
        gpu = tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return int(used + more * _sample_bytes(trial)), gpu


def _sample_bytes(trial) -> int:
    """Bytes of memory that a teacher sample takes: latent, label and image."""
    components = trial.components
    pixels = 3 * components.model.student.image_size**2
    return _COPIES * (pixels + 4 * components.teacher.latent_dim + 4)


def _memory_there() -> int | None:
    """Bytes of memory of this machine; None where the system doesn't say."""
    if not hasattr(os, "sysconf"):  # Windows
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _proposal(config, trial, time, fixed, found) -> dict:
    """Settings that fill the time, with the seconds that they are expected to take."""
    each, passes, most = 0.0, None, None
    if config.teacher_samples:
        passes = sensible_passes(found["passes"])
        each = config.batch_size * trial.teacher_each / passes
        if found["memory_there"]:
            most = found["memory_there"] // 2 // _sample_bytes(trial)
    known = time, fixed, trial.step_seconds + each, epochs(config), config
    settings = propose(*known, passes, most)
    proposal = {"time": time, "fixed": fixed, "settings": settings, "seconds": None, "cache": None}
    if settings:
        proposal["seconds"] = fixed + settings["steps"] * (trial.step_seconds + each)
    if found["teacher_share"] > 0.3:
        step = trial.step_seconds * (1 - found["teacher_share"])
        step += config.batch_size * trial.cache["read"]
        filling = config.batch_size * trial.cache["write"] / USUAL_PASSES
        cached = propose(time, fixed, step + filling, epochs(config), config)
        if cached:
            count = max(config.batch_size, cached["steps"] * config.batch_size // USUAL_PASSES)
            proposal["cache"] = {
                "count": count,
                "seconds": count * trial.cache["write"],
                "bytes": int(count * trial.cache["bytes"]),
                "settings": cached,
            }
    return proposal
