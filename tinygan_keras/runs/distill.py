"""One distillation from config to report: `distill(config, workdir)`.

Scope: the order of the steps. What a setting means is in `config.py`, where files go in
`run_folder.py`, what is measured in `summary.py`, what several hosts do together in `workers.py`.

Everything that can be wrong is checked before the first teacher sample is drawn. The same call again
resumes an interrupted run: teacher samples, order of the data and all state come out the same.
"""

import shutil
import warnings

import keras
import numpy as np
from PIL import Image

from ..data.batches import distillation_batches
from ..evaluation.report import write_report
from ..generators.side_files import write_class_names
from ..pictures.files import save_gif, save_png
from ..saved_model.export import export_saved_model
from .callbacks import Checkpoints, ProgressPictures, latest_checkpoint, load_checkpoint
from .components import prepare
from .config import epochs, validate
from .damaged_data import told_in_words
from .divergence import DivergenceError, StopOnDivergence
from .gallery import Gallery
from .run_folder import RunFolder, Stopwatch, discard
from .source import open_cache, open_source
from .summary import evaluation_callback, summarize
from .workers import FollowChief, connect, is_chief

FRAMES = 40  # of the moving picture, at most


def distill(config, workdir, overwrite=False) -> dict | None:
    """Distils a teacher into a student, and leaves everything about it in one folder.

    With `devices="multi_worker"` every host gives the same command. The chief's folder is the run; the
    others write nothing, and go when the training is done.

    Args:
        config: Settings, see `config.default_config`.
        workdir: The run folder. If it holds an interrupted run of the same config, that run goes on.
        overwrite: Start anew where the folder holds a run; its files are removed.

    Returns:
        The report, as in `report.json`; None in the process of a worker that isn't the chief.

    Raises:
        ValueError: a setting is wrong, sizes or classes differ between the parts, or the folder
            holds a run with another config.
        FileNotFoundError: a file or folder of the config doesn't exist.
        PermissionError: the folder can't be written.
        DivergenceError: a loss grew beyond `divergence_limit` or isn't finite; the last good checkpoint
            is kept.
        WorkerLost: another process of a "multi_worker" run has gone.
        KeyboardInterrupt: after Ctrl-C, when the student so far has been saved.

    Example:
        config = default_config()
        config.teacher, config.truncation = "saved_models/biggan_fashion_32", 1.0
        config.student = config.discriminator = "tinygan_fashion_32"
        report = distill(config, "runs/mine")
    """
    config = validate(config)
    folder = RunFolder(workdir)
    if is_chief(config.devices):  # before it waits for the others
        folder.check_writable()
        folder.check_config(config.to_dict(), overwrite)
    workers = connect(config.devices)
    if workers.from_chief(folder.is_finished and not overwrite):
        print("This run is finished already and is left as it is; --overwrite redoes it.")
        workers.leave()
        return tell(folder) if workers.is_chief else None

    watch = Stopwatch()
    with workers.watched():
        with watch.phase("preparation"):
            parts = prepare(config, workers.strategy)
            cache = open_cache(config, parts)
        if workers.is_chief:
            with watch.phase("preparation"):
                gallery = Gallery(
                    parts.teacher,
                    parts.class_names,
                    config.truncation,
                    config.sample_seed,
                    parts.classes,
                )
            folder.begin(config.to_dict(), identities(parts, cache), overwrite)
            watch.keep_in(folder.seconds)
            pictures = ProgressPictures(
                folder.progress, gallery.frame, -(-epochs(config) // FRAMES)
            )
            train(parts, cache, config, folder, watch, workers, pictures)
        else:
            assist(parts, cache, config, watch, workers)
            return None
    with watch.phase("evaluation"):
        report = summarize(parts, config, folder)
    with watch.phase("export"):
        save_results(parts, folder, gallery, report)
    report["seconds"] = round(watch.total, 1)
    report["seconds_by_phase"] = watch.seconds
    write_report(report, folder.path)
    return tell(folder)


def identities(parts, cache) -> dict:
    """Hashes of the data that decide what a resumed training would see."""
    return {
        "cached teacher images": cache.manifest.identity if cache else None,
        "real images": parts.real.fingerprint if parts.real else None,
    }


def train(parts, cache, config, folder, watch, workers, pictures):
    """Trains from the last checkpoint, if there is one, to the last epoch."""
    done, checkpoint = latest_checkpoint(folder.checkpoints)
    if checkpoint:
        print(f"Resuming after epoch {done} of {epochs(config)} from {checkpoint}")
        load_checkpoint(parts.model, checkpoint)
        folder.repair_history(done)
    evaluation = evaluation_callback(parts, config, folder)
    if evaluation:
        evaluation.restore(done)
    enough = done == epochs(config) or bool(evaluation and evaluation.patience_is_used_up)
    callbacks = [
        *([evaluation] if evaluation else []),  # first: the others log its figures
        keras.callbacks.CSVLogger(folder.history, append=done > 0),
        keras.callbacks.TensorBoard(folder.tensorboard, write_graph=False),
        pictures,
        Checkpoints(folder.checkpoints),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: watch.save()),
    ]
    try:
        fit(parts, cache, config, watch, workers, callbacks, done, enough)
    except KeyboardInterrupt:
        save_student(parts, folder)
        done, _ = latest_checkpoint(folder.checkpoints)
        print(f"\nInterrupted. The student so far: {folder.student}")
        print(f"The same command goes on after epoch {done} of {epochs(config)}.")
        raise
    except DivergenceError as error:
        done, checkpoint = latest_checkpoint(folder.checkpoints)
        kept = f"{checkpoint}, after epoch {done}" if checkpoint else "none: no epoch was completed"
        raise DivergenceError(f"{error} Last good checkpoint: {kept}.") from error


def assist(parts, cache, config, watch, workers):
    """Trains as a worker that isn't the chief: with the chief's state, and without a file."""
    fit(parts, cache, config, watch, workers, callbacks=[], done=0, enough=False)


def fit(parts, cache, config, watch, workers, callbacks, done, enough):
    """Calls `TinyGAN.fit` in every process; what the chief says about the past holds for all.

    Args:
        callbacks: What happens at the end of an epoch in this process alone.
        done: The chief's number of epochs done.
        enough: Whether the chief has nothing left to train.
    """
    done = workers.from_chief(done)
    if workers.from_chief(enough):
        return workers.leave()
    workers.share(parts.model)
    steps_per_epoch = min(config.steps, config.steps_per_epoch)
    batches = distillation_batches(
        open_source(config, parts, cache, watch),
        parts.real,
        config.batch_size,
        seed=config.seed,
        truncation=config.truncation,
        start_step=done * steps_per_epoch,
        classes=parts.classes,
        horizontal_flip=config.horizontal_flip,
    )
    try:
        with watch.phase("training"), told_in_words(cache):
            parts.model.fit(
                batches,
                initial_epoch=done,
                epochs=epochs(config),
                steps_per_epoch=steps_per_epoch,
                # What diverged isn't measured, drawn or saved; what the chief decides comes at the end.
                callbacks=[StopOnDivergence(total=workers.total), *callbacks, FollowChief(workers)],
                verbose="auto" if workers.is_chief else 0,
                shuffle=False,  # the data set shuffles itself, and Keras would warn that it can't
            )
    except DivergenceError:
        workers.leave()  # every process has raised it
        raise
    workers.leave()


def save_student(parts, folder):
    """Saves the averaged student and the names of its classes."""
    unfinished = folder.path / "unfinished.keras"
    parts.model.ema_student.save(unfinished)
    unfinished.replace(folder.student)
    write_class_names(folder.path, parts.class_names)
    if folder.best.is_dir():
        write_class_names(folder.best, parts.class_names)


def save_results(parts, folder, gallery, report):
    """Saves the student in its two forms, its picture, and the moving picture of the training."""
    save_student(parts, folder)
    discard(folder.saved_model)  # of a run that was stopped right here
    with warnings.catch_warnings():
        # Who serves a student exports it again; what this copy lacks is in its model card.
        warnings.filterwarnings("ignore", ".*without warm-up requests", UserWarning)
        export_saved_model(
            parts.model.ema_student,
            folder.saved_model,
            class_names=parts.class_names,
            report=report,
        )
    save_png(gallery.grid(parts.model.ema_student), folder.samples)
    frames = [np.asarray(Image.open(path)) for path in sorted(folder.progress.glob("*.png"))]
    save_gif(frames, folder.moving_picture)


def tell(folder) -> dict:
    """Prints where everything is, and what to do next; returns the report."""
    for meaning, path in (
        ("Teacher above student, class by class", folder.samples),
        ("The same latents during training", folder.moving_picture),
        ("Figures", folder.readable_report),
        ("Every figure and its protocol", folder.evaluation),
        ("The best student of the training", folder.best),
        ("The same for programs", folder.report),
        ("Student for Keras", folder.student),
        ("Student for TensorFlow Serving", folder.saved_model),
        ("All training state", folder.checkpoints),
        ("Training curves", folder.tensorboard),
    ):
        if path.exists():
            print(f"{meaning + ':':<40}{path}")
    if not shutil.which("tinygan"):
        print("First: . .venv/bin/activate")
    print(f"Next: tinygan sample --model={folder.path} --out=samples.png")
    print(f"      tinygan export --model={folder.path} --out=serving/1")
    print(f"      tensorboard --logdir={folder.tensorboard}")
    return folder.read_report()
