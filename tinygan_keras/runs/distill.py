"""One distillation from config to report: `distill(config, workdir)`.

Everything that can be wrong is checked before the first teacher sample is generated. The same call again
resumes an interrupted run: teacher samples, order of the data and all state come out the same.
"""

import contextlib
import dataclasses
import re
import shlex
import shutil
import warnings
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from ..errors import UnusableFileError, UserError
from ..evaluation.results import write_report
from ..files import check_room, new_file, read_json
from ..generators.side_files import write_class_names
from ..pictures.image_rows import save_gif, save_png
from ..progress import rewrites_lines
from ..saved_model.exporting import export_saved_model
from .checkpoints import (
    KEPT,
    Checkpoint,
    Checkpoints,
    RestOfEpoch,
    epoch_figures,
    latest_checkpoint,
    restore_latest,
    size_of_state,
)
from .collapse import CollapseAlarm, RollBack
from .components import (
    Components,
    open_batches,
    open_components,
    scale_learning_rates,
    without_teacher,
)
from .config import epochs, former_config, validate
from .devices import Workers, make_strategy, tf_config
from .divergence import DivergenceError, StopOnDivergence
from .interruptions import Interrupted, Interruptions
from .measuring import evaluation_callback, summarize
from .progress_pictures import Gallery, ProgressPictures
from .run_folder import RunFolder, Stopwatch, discard
from .trackers import check_trackers, open_trackers

FRAMES = 40  # of the moving picture, at most
ROOM_FOR = "checkpoints and results of this run"


@dataclasses.dataclass
class Run:
    """What the steps of a run share."""

    config: object
    folder: RunFolder
    workers: Workers
    watch: Stopwatch
    components: Components  # or those of another model: `model` is used here
    open_batches: Callable  # from a step on
    interruptions: Interruptions = dataclasses.field(default_factory=Interruptions)


def distill(config, workdir, overwrite=False) -> dict | None:
    """Distils a teacher into a student, and leaves everything about it in one folder.

    With `devices="multi_worker"` every host gives the same command. The chief's folder is the run; the
    others write nothing, and go when the training is done.

    Args:
        config: Settings, see `config.default_config`.
        workdir: The run folder, locked for other processes. An interrupted run of the same config goes on.
        overwrite: Start anew where the folder holds a run; its files are removed.

    Returns:
        The report, as in `report.json`; None in the process of a worker that isn't the chief.

    Raises:
        InputError: a setting is wrong, components don't fit, or the folder holds a run of another config.
        MissingFileError: a file or folder of the config doesn't exist.
        UnusableFileError: nothing can be written in the folder, another run uses it, its disk is full, or
            data can't be read any more.
        DivergenceError: a loss grew beyond `divergence_limit`; the last good checkpoint is kept.
        WorkerLost: another process of a "multi_worker" run has gone.
        KeyboardInterrupt: after Ctrl-C or SIGTERM (an `Interrupted`, with the exit code), at the next step,
            when the state and the student so far have been saved.

    Example:
        config = default_config()
        config.teacher, config.truncation = "biggan_fashion_32", 1.0
        config.student = config.discriminator = "tinygan_fashion_32"
        report = distill(config, "runs/mine")
    """
    config = without_teacher(validate(config))
    folder = RunFolder(workdir)
    writes = config.devices != "multi_worker" or tf_config()[2]
    with folder.locked() if writes else contextlib.nullcontext():
        if writes and not overwrite:
            folder.check_config(config, former_config())  # before it waits for the others
        workers = Workers(make_strategy(config.devices))
        if workers.from_chief(folder.report_json.is_file() and not overwrite):
            print("This run is finished already and is left as it is; --overwrite redoes it.")
            workers.leave()
            return _list_results(folder) if writes else None
        if writes:
            check_trackers(config)
        with errors_in_words(config.teacher_cache), Interruptions().noticed() as interruptions:
            return _distill(config, folder, workers, overwrite, interruptions)


def _distill(config, folder, workers, overwrite, interruptions) -> dict | None:
    """The run itself, in a folder that is its own."""
    watch = Stopwatch()
    with workers.watched():
        with watch.phase("preparation"):
            components = open_components(config, workers.strategy)
            gallery = Gallery(components, config) if workers.is_chief else None

        def batches(start_step):
            with watch.phase("teacher_samples"):
                return open_batches(config, components, start_step)

        run = Run(config, folder, workers, watch, components, batches, interruptions)
        if not workers.is_chief:
            fit(run)
            return None
        data = {"cached teacher images": components.cache, "real images": components.real_images}
        data = {name: getattr(images, "fingerprint", None) for name, images in data.items()}
        data["teacher files"] = components.teacher.content_hash
        folder.begin(config.to_dict(), data, overwrite, components.real_images)
        watch.keep_in(folder)
        try:
            pictures, alarm = watchers(config, components, folder, gallery)
            train(run, evaluation_callback(components, config, folder), pictures, alarm)
        except KeyboardInterrupt:
            folder.check_ours()
            save_student(run)
            print(f"The student so far: {folder.student_keras}")
            raise
    folder.check_ours()
    with watch.phase("evaluation"):
        report = summarize(components, config, folder)
    with watch.phase("export"):
        save_results(run, gallery, report)
    report |= watch.report()
    if alarm:
        report["collapse_roll_backs"] = alarm.roll_backs
    write_report(report, folder.path)
    return _list_results(folder)


def watchers(config, components, folder, gallery) -> tuple:
    """The callback that makes pictures of the training, and the alarm for collapse, or None."""
    pictures = ProgressPictures(folder.progress, gallery.frame, -(-epochs(config) // FRAMES))
    if not config.collapse_share:
        return pictures, None
    return pictures, CollapseAlarm(
        gallery,
        components.extractor,
        folder.diversity,
        share=config.collapse_share,
        patience=config.collapse_epochs,
        grace=-(-epochs(config) // 4),
        action=config.on_collapse,
        rate_factor=config.collapse_rate_factor,
        roll_backs=config.collapse_roll_backs,
    )


def train(run, evaluation, pictures, alarm=None, others=()):
    """Trains to the last epoch; after a collapse again from the last good state, if the alarm says so."""
    while True:
        try:
            return _train_on(run, evaluation, pictures, alarm, others)
        except RollBack as collapse:
            alarm.roll_back(collapse, run.folder.checkpoints)


def _train_on(run, evaluation, pictures, alarm, others):
    """Trains from the last checkpoint, if there is one, to the last epoch; the callbacks are the run's."""
    config, folder, model = run.config, run.folder, run.components.model
    start, figures = restore_latest(model, folder.checkpoints)
    done = start.epoch
    if start.path:
        print(f"Resuming after {start} of {epochs(config)} from {start.path}")
        folder.repair_history(done)
    if evaluation:
        evaluation.restore(done)
    if alarm and alarm.roll_backs:
        scale_learning_rates(model, config, alarm.factor)
    enough = done == epochs(config) or bool(evaluation and evaluation.patience_is_used_up)
    enough = enough or bool(alarm and alarm.has_stopped(done))
    _check_room(run)
    callbacks = [
        *others,
        *([alarm] if alarm else []),  # first: the others log its figures, as of the evaluation
        *([evaluation] if evaluation else []),
        pictures,
    ]
    try:
        with contextlib.ExitStack() as records:
            if not enough:
                callbacks += open_trackers(config, folder, done, records)
            fit(run, callbacks, start, figures, enough)
    except KeyboardInterrupt:
        done = latest_checkpoint(folder.checkpoints)
        print(f"\nInterrupted. The same command goes on after {done}.")
        raise
    except DivergenceError as error:
        good = latest_checkpoint(folder.checkpoints)
        kept = f"{good.path}, after {good}" if good.path else "none: no epoch was completed"
        raise DivergenceError(f"{error} Last good checkpoint: {kept}.") from error


def _check_room(run):
    """Refuses a disk that can't hold what the training writes: checkpoints, the best, the result."""
    folder, model = run.folder, run.components.model
    places = (folder.checkpoints, folder.best, folder.diversity)
    kept = [path for place in places for path in place.glob("*")]
    there = sum(path.stat().st_size for path in kept if path.is_file())
    needed = max(size_of_state(model), disk_needed(model, run.config) - there)
    check_room(folder.path, needed, ROOM_FOR)


def disk_needed(model, config) -> int:
    """Bytes that the training of a model writes: checkpoints, the best model, the last good state."""
    # While one is written the former ones stay, and so it is with the best and the good.
    copies = KEPT + 1 + 1
    if config.evaluate_every:
        copies += 4
    if config.get("on_collapse") == "roll_back":
        copies += 2
    return copies * size_of_state(model)


def fit(run, callbacks=(), start=Checkpoint(), figures=(), enough=False):  # noqa: B008
    """Calls the model's `fit` in every process; what the chief says of the start holds for all."""
    config, workers, components = run.config, run.workers, run.components
    done, steps, enough = workers.totals(
        (start.epoch, start.step, enough) if workers.is_chief else (0, 0, 0)
    )
    if enough:
        return workers.leave()
    model = components.model
    workers.share(model)
    if steps:
        mine = [keras.ops.convert_to_numpy(variable) for variable in epoch_figures(model)]
        figures = workers.arrays_from_chief(figures if workers.is_chief else mine)
    steps_per_epoch = min(config.steps, config.steps_per_epoch)
    batches = run.open_batches(done * steps_per_epoch + steps)
    divergence = StopOnDivergence(total=workers.total)

    def check():
        run.folder.check_ours()
        divergence.check()
        if hasattr(model, "batch_faults"):
            model.batch_faults.check()

    checkpoints = Checkpoints(
        run.folder.checkpoints if workers.is_chief else None,
        config.checkpoint_minutes,
        run.interruptions,
        workers,
        check,
        run.watch.save,
        resumed_steps=steps,
    )
    verbosity = "auto" if rewrites_lines() else 2  # a bar, or a line per epoch
    # In a folder that isn't ours nothing is written, and what diverged isn't measured, shown or saved; what
    # the chief decides comes at the end.
    ours = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: run.folder.check_ours())
    last = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: workers.follow_chief(model))
    try:
        with run.watch.phase("training"), contextlib.closing(checkpoints):
            model.fit(
                batches,
                initial_epoch=done,
                epochs=epochs(config),
                steps_per_epoch=steps_per_epoch,
                callbacks=[
                    *(RestOfEpoch(steps, figures), ours, divergence),
                    *callbacks,
                    *(checkpoints, last),
                ],
                verbose=verbosity if workers.is_chief else 0,
                shuffle=False,  # the data set shuffles itself, and Keras would warn that it can't
            )
    except (UserError, tf.errors.OpError, Interrupted) as error:
        print()  # Keras' progress bar has the current line
        if isinstance(error, DivergenceError) or getattr(error, "agreed", False):
            workers.leave()  # every process has raised it
        raise
    workers.leave()


def save_student(run):
    """Saves the averaged student and the names of its classes."""
    with new_file(run.folder.student_keras) as aside:
        run.components.model.ema_student.save(aside)
    for folder in (run.folder.path, run.folder.best):
        if folder.is_dir():
            write_class_names(folder, run.components.class_names)


def save_results(run, gallery, report):
    """Saves the student in its two formats, its picture, and the moving picture of the training."""
    folder, student = run.folder, run.components.model.ema_student
    save_student(run)
    discard(folder.saved_model)  # of a run that was stopped right here
    with warnings.catch_warnings():
        # Who serves a student exports it again; what this copy lacks is in its model card.
        warnings.filterwarnings("ignore", ".*without warm-up requests", UserWarning)
        names = run.components.class_names
        export_saved_model(student, folder.saved_model / "1", class_names=names, report=report)
    save_png(gallery.grid(student), folder.samples_png)
    save_animation(folder)


def save_animation(folder):
    """Makes the moving picture out of the pictures of the training."""
    paths = sorted(folder.progress.glob("*.png"))
    paths = paths[:: -(-len(paths) // (FRAMES + 1))]
    save_gif([np.asarray(Image.open(path)) for path in paths], folder.training_gif)


@contextlib.contextmanager
def errors_in_words(cache=""):
    """Says of a full disk, and of data that can't be read any more, that nothing is lost."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        damaged = isinstance(error, (tf.errors.DataLossError, tf.errors.NotFoundError))
        if any(words in str(error) for words in ("No space left", "quota exceeded")):
            fix = "room for the run. Free some space"
        elif damaged or "A shard was changed" in str(error):
            fix = "every file as it was. Put good copies in place"
            if cache:
                fix += f" (tinygan cache --out={cache} --verify names what is damaged)"
        else:
            raise
        reason = re.sub(r"\{\{.*?\}\}", "", getattr(error, "message", str(error))).strip()
        found = reason.splitlines()[0].partition(" Expected ")[0]
        raise UnusableFileError(
            f"{found} Expected {fix}: the same command then goes on from the last checkpoint."
        ) from error


def _list_results(folder) -> dict:
    """Prints where everything is, and what to do next; returns the report."""
    path, logs = shlex.quote(str(folder.path)), shlex.quote(str(folder.tensorboard))
    places = {
        "Teacher above student, class by class": folder.samples_png,
        "The same latents during training": folder.training_gif,
        "Figures": folder.report_md,
        "Every figure and its protocol": folder.evaluation,
        "The best student of the training": folder.best,
        "The last student without a collapse": folder.diversity,
        "The same for programs": folder.report_json,
        "Student for Keras": folder.student_keras,
        "Student for TensorFlow Serving": folder.saved_model / "1",
        "All training state": folder.checkpoints,
        "Training curves": folder.tensorboard,
    }
    following = (
        f"tinygan sample --model={path} --out=samples.png",
        f"tinygan export --model={path} --out=serving/1",
        f"tensorboard --logdir={logs}",
    )
    return list_results(folder, places, following)


def list_results(folder, places: dict, following) -> dict:
    """Prints the places that there are, by meaning, and the commands that follow; returns the report."""
    for meaning, path in places.items():
        if path.exists():
            print(f"{meaning + ':':<40}{path}")
    if not shutil.which("tinygan"):
        print("First: . .venv/bin/activate")
    print("Next:", "\n      ".join(following))
    return read_json(folder.report_json)
