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
from ..files import new_file, read_json
from ..generators.side_files import write_class_names
from ..pictures.image_rows import save_gif, save_png
from ..saved_model.exporting import export_saved_model
from .checkpoints import Checkpoints, latest_checkpoint, load_checkpoint
from .components import Components, open_batches, open_components, without_teacher
from .config import epochs, former_config, validate
from .devices import Workers, make_strategy, tf_config
from .divergence import DivergenceError, StopOnDivergence
from .measuring import evaluation_callback, summarize
from .progress_pictures import Gallery, ProgressPictures
from .run_folder import RunFolder, Stopwatch, discard

FRAMES = 40  # of the moving picture, at most


@dataclasses.dataclass
class Run:
    """What the steps of a run share."""

    config: object
    folder: RunFolder
    workers: Workers
    watch: Stopwatch
    components: Components  # or those of another model: `model` is used here
    open_batches: Callable  # from a step on


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
        KeyboardInterrupt: after Ctrl-C, when the student so far has been saved.

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
        with errors_in_words(config.teacher_cache):
            return _distill(config, folder, workers, overwrite)


def _distill(config, folder, workers, overwrite) -> dict | None:
    """The run itself, in a folder that is its own."""
    watch = Stopwatch()
    with workers.watched():
        with watch.phase("preparation"):
            components = open_components(config, workers.strategy)
            gallery = Gallery(components, config) if workers.is_chief else None

        def batches(start_step):
            with watch.phase("teacher_samples"):
                return open_batches(config, components, start_step)

        run = Run(config, folder, workers, watch, components, batches)
        if not workers.is_chief:
            fit(run)
            return None
        data = {"cached teacher images": components.cache, "real images": components.real_images}
        data = {name: getattr(images, "fingerprint", None) for name, images in data.items()}
        folder.begin(config.to_dict(), data, overwrite, components.real_images)
        watch.keep_in(folder.seconds_json)
        pictures = ProgressPictures(folder.progress, gallery.frame, -(-epochs(config) // FRAMES))
        try:
            train(run, evaluation_callback(components, config, folder), pictures)
        except KeyboardInterrupt:
            save_student(run)
            print(f"The student so far: {folder.student_keras}")
            raise
    with watch.phase("evaluation"):
        report = summarize(components, config, folder)
    with watch.phase("export"):
        save_results(run, gallery, report)
    report |= watch.report()
    write_report(report, folder.path)
    return _list_results(folder)


def train(run, evaluation, pictures):
    """Trains from the last checkpoint, if there is one, to the last epoch; the callbacks are the run's."""
    config, folder, model = run.config, run.folder, run.components.model
    done, checkpoint = latest_checkpoint(folder.checkpoints)
    if checkpoint:
        print(f"Resuming after epoch {done} of {epochs(config)} from {checkpoint}")
        load_checkpoint(model, checkpoint)
        folder.repair_history(done)
    if evaluation:
        evaluation.restore(done)
    enough = done == epochs(config) or bool(evaluation and evaluation.patience_is_used_up)
    callbacks = [
        *([evaluation] if evaluation else []),  # first: the others log its figures
        keras.callbacks.CSVLogger(folder.history_csv, append=done > 0),
        keras.callbacks.TensorBoard(folder.tensorboard, write_graph=False),
        pictures,
        Checkpoints(folder.checkpoints),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: run.watch.save()),
    ]
    try:
        fit(run, callbacks, done, enough)
    except KeyboardInterrupt:
        done, _ = latest_checkpoint(folder.checkpoints)
        print(f"\nInterrupted. The same command goes on after epoch {done}.")
        raise
    except DivergenceError as error:
        done, checkpoint = latest_checkpoint(folder.checkpoints)
        kept = f"{checkpoint}, after epoch {done}" if checkpoint else "none: no epoch was completed"
        raise DivergenceError(f"{error} Last good checkpoint: {kept}.") from error


def fit(run, callbacks=(), done=0, enough=False):
    """Calls the model's `fit` in every process; the chief's `done` and `enough` hold for all."""
    config, workers, components = run.config, run.workers, run.components
    done = workers.from_chief(done)
    if workers.from_chief(enough):
        return workers.leave()
    workers.share(components.model)
    steps_per_epoch = min(config.steps, config.steps_per_epoch)
    batches = run.open_batches(done * steps_per_epoch)
    model = components.model
    # What diverged isn't measured, shown or saved; what the chief decides comes at the end.
    last = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: workers.follow_chief(model))
    try:
        with run.watch.phase("training"):
            model.fit(
                batches,
                initial_epoch=done,
                epochs=epochs(config),
                steps_per_epoch=steps_per_epoch,
                callbacks=[StopOnDivergence(total=workers.total), *callbacks, last],
                verbose="auto" if workers.is_chief else 0,
                shuffle=False,  # the data set shuffles itself, and Keras would warn that it can't
            )
    except (UserError, tf.errors.OpError) as error:
        print()  # Keras' progress bar has the current line
        if isinstance(error, DivergenceError):
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
        raise UnusableFileError(
            f"{reason.splitlines()[0]} Expected {fix}: the same command then goes on from the last "
            "checkpoint."
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
