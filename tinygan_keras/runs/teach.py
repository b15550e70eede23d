"""The training of a teacher, from real images to a module as TensorFlow Hub has them: `teach(config, out)`.

All but the model and its results is as in `distill.py`: folder, lock, checkpoints, resuming, pictures.
"""

import dataclasses
import functools
import shlex
import shutil

import keras
import numpy as np
import tensorflow as tf

from ..data.image_sets import ImageSet, open_images
from ..errors import InputError
from ..evaluation.extractors.extractor import FeatureExtractor, load_extractor
from ..evaluation.results import report_page, write_report
from ..files import write_json, write_text
from ..generators.opening import open_generator
from ..generators.side_files import write_class_names
from ..latents import truncated_normal
from ..pictures.image_rows import save_png
from ..teachers.biggan import BigGANDiscriminator, BigGANGenerator
from ..teachers.hub import HubTeacher
from ..teachers.own_teacher import (
    ClassConditionalGAN,
    measure_standing_statistics,
    save_teacher,
)
from .checkpoints import load_checkpoint
from .components import check_extractor, make_optimizer, open_measured_images
from .devices import Workers, resolve_dtype_policy
from .distill import Run, errors_in_words, list_results, save_animation, train
from .evaluation_callback import EvaluationCallback
from .interruptions import Interruptions
from .measuring import make_evaluation, summarize_teacher
from .progress_pictures import ProgressPictures, TeacherGallery
from .run_folder import RunFolder, Stopwatch, discard
from .teacher_config import former_teacher_config, student_config_text, validate_teacher_config
from .trackers import check_trackers


@dataclasses.dataclass
class _Components:
    """What the training of a teacher is made of."""

    real_images: ImageSet
    measured_images: ImageSet | None  # to measure distances to
    extractor: FeatureExtractor | None
    model: ClassConditionalGAN
    class_names: tuple
    classes: tuple | None  # labels of which there are images; None for all


class _TeacherEvaluation(EvaluationCallback):
    FILES = ("best.weights.h5",)  # its generator lacks the statistics of most truncations


def teach(config, out, overwrite=False) -> dict:
    """Trains a class-conditional BigGAN on real images, and writes it as a teacher.

    Args:
        config: Settings, see `default_teacher_config`.
        out: The run folder, locked for other processes, and in the end what `HubTeacher` and
            `tinygan distill --config.teacher=` take. An interrupted run of the same config goes on.
        overwrite: Start anew where the folder holds a run; its files are removed.

    Returns:
        The report, as in `report.json`.

    Raises:
        InputError: a setting is wrong, the images are too few, of one class or without labels, or the folder
            holds a run of another config.
        MissingFileError: a file or folder of the config doesn't exist.
        UnusableFileError: nothing can be written in the folder, another run uses it, its disk is full, or
            data can't be read any more.
        DivergenceError: a loss grew beyond `divergence_limit`; the last good checkpoint is kept.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, at the next step, when the state has been saved.

    Example:
        config = default_teacher_config(image_size=64)
        config.data = "photos/"
        teach(config, "runs/photos_teacher")
        teacher = HubTeacher("runs/photos_teacher")
    """
    config = validate_teacher_config(config)
    folder = RunFolder(out)
    with folder.locked():
        if not overwrite:
            folder.check_config(config, former_teacher_config(config.image_size))
        if folder.report_json.is_file() and not overwrite:
            print("This run is finished already and is left as it is; --overwrite redoes it.")
        else:
            check_trackers(config)
            with errors_in_words(), Interruptions().noticed() as interruptions:
                _teach(config, folder, overwrite, interruptions)
        return _list_results(folder)


def _teach(config, folder, overwrite, interruptions):
    watch = Stopwatch()
    with watch.phase("preparation"):
        components = _open_components(config)
        gallery = TeacherGallery(components, config)
    batches = functools.partial(_open_batches, config, components)
    workers = Workers(tf.distribute.get_strategy())
    run = Run(config, folder, workers, watch, components, batches, interruptions)
    images = components.real_images
    folder.begin(config.to_dict(), {"real images": images.fingerprint}, overwrite, images)
    watch.keep_in(folder)
    evaluation = _evaluation(components, config, folder)
    train(run, evaluation, ProgressPictures(folder.progress, gallery.frame))
    folder.check_ours()
    if evaluation and evaluation.best.epoch:
        load_checkpoint(components.model, folder.best / _TeacherEvaluation.FILES[0])
    with watch.phase("standing_statistics"):
        teacher = _save_module(components, config, folder)
    with watch.phase("evaluation"):
        report = summarize_teacher(components, config, folder, open_generator(teacher))
    save_animation(folder)
    save_png(gallery.grid(teacher), folder.samples_png)
    shutil.copy(folder.samples_png, folder.module)
    write_text(
        folder.distill_py,
        student_config_text(config, folder.path, teacher.num_classes, components.classes),
    )
    report |= watch.report()
    report["dtype_policy"] = components.model.generator.dtype_policy.name
    heading = _heading(config, components)
    write_text(folder.module / "model_card.md", report_page(report, heading) + "\n")
    write_report(report, folder.path, heading)


def _open_components(config) -> _Components:
    """Opens images and extractor and builds the model of a complete config, and checks that they fit."""
    extractor = measured = None
    if config.extractor:
        extractor = load_extractor(config.extractor, resize=config.resize or None)
    images = open_images(
        config.data, config.image_size, None, config.classes or None, None, config.data_subset
    )
    classes = _check_images(config, images)
    print(images.report(config.horizontal_flip))
    names = images.class_names or tuple(map(str, range(images.num_classes)))
    model = _build_model(config, images.num_classes)
    if extractor is not None:
        check_extractor(config, extractor, model.generator)
        measured = open_measured_images(config, images, names)
    return _Components(images, measured, extractor, model, names, classes)


def _check_images(config, images) -> tuple | None:
    """Refuses images that no class-conditional GAN can learn from; the classes that have some, if not all."""
    got = f"Got {images.name} with {images.count:,} images"
    if images.labels is None:
        raise InputError(
            f"{got} and no labels. Expected the class of every image. Sort the images into a folder per "
            "class, or add the array labels, int [N], to the .npz file."
        )
    present = np.flatnonzero(images.class_counts).tolist()
    if len(present) < 2:
        raise InputError(
            f"{got} of one class. Expected two or more, which the generator learns to tell apart. Sort the "
            "images into a folder per class."
        )
    if images.num_classes > 10 * len(present):
        raise InputError(
            f"{got} of {len(present)} classes, whose largest number is {images.num_classes - 1}. Expected "
            "numbers from 0 on, or words. Rename the folders, or give labels without gaps."
        )
    if images.count < config.batch_size * config.d_steps:
        raise InputError(
            f"{got}. Expected at least those of a step, {config.batch_size * config.d_steps}; thousands make "
            "a good teacher. Add images, or lower batch_size."
        )
    if config.image_channels == 1:
        drawn = images.draw(config.batch_size).read(0, config.batch_size)
        if np.ptp(drawn, axis=-1).max() > 2:  # some formats of files lose a bit
            raise InputError(
                f"{got}, some of them in colour, and image_channels=1. Expected grey images. Set "
                "image_channels=3, or prepare grey images."
            )
    return None if len(present) == images.num_classes else tuple(present)


def _build_model(config, num_classes) -> ClassConditionalGAN:
    """The compiled, untrained model."""
    common = {"num_classes": num_classes, "dtype": resolve_dtype_policy(config.dtype_policy)}
    settings = {
        "channels": config.generator_channels,
        "latent_dim": config.latent_dim,
        "embedding_dim": config.embedding_dim,
        "attention_size": config.attention_size or None,
        "image_channels": config.image_channels,
        **common,
    }
    keras.utils.set_random_seed(config.seed)
    model = ClassConditionalGAN(
        BigGANGenerator(**settings),
        BigGANDiscriminator(config.discriminator_channels, image_size=config.image_size, **common),
        ema_generator=BigGANGenerator(**settings),
        ema_decay=config.ema_decay,
        d_steps=config.d_steps,
        name=config.name,
    )
    model.compile(
        g_optimizer=make_optimizer(config, config.g_learning_rate),
        d_optimizer=make_optimizer(config, config.d_learning_rate),
        divergence_limit=config.divergence_limit,
        jit_compile=False,  # XLA has no gradient of the upsampling
        steps_per_execution=config.steps_per_execution,
    )
    return model


def _open_batches(config, components, start_step=0) -> tf.data.Dataset:
    """Endless batches of real images with latents that don't repeat, from a step on."""
    count, latent_dim = config.batch_size * config.d_steps, components.model.generator.latent_dim

    def with_latents(step, batch):
        latents = truncated_normal((count, latent_dim), (config.seed, tf.cast(step, tf.int32)))
        return {"image": batch["image"], "label": batch["image_label"], "latent": latents}

    real = components.real_images.batches(count, config.seed, start_step, config.horizontal_flip)
    steps = tf.data.Dataset.counter(start_step, dtype=tf.int64)
    return tf.data.Dataset.zip(steps, real).map(with_latents).prefetch(2)


def _evaluation(components, config, folder) -> EvaluationCallback | None:
    """The evaluations in the course of the training, if the config asks for them."""
    if not config.evaluate_every:
        return None
    network = components.model.ema_generator

    @tf.function(reduce_retracing=True)
    def draw(latents, labels):
        return network((latents, labels), training=False, truncation=config.truncation)

    known = {"source": config.name, "class_names": components.class_names, "draw": draw}
    generator = dataclasses.replace(open_generator(network), truncation=config.truncation, **known)
    given = components, config
    prepare = functools.partial(_measure_statistics, *given, truncation=config.truncation)
    return make_evaluation(*given, folder, generator, prepare, _TeacherEvaluation)


def _measure_statistics(components, config, generator, **settings):
    # Of fewer images where they are large, so that memory doesn't grow with them as fast.
    size, batches = 512 * 32 // config.image_size, 1 if config.debug else 8
    # The classes as often as in training, and mixed as in its batches.
    classes = np.random.default_rng(config.seed).permutation(components.real_images.labels)
    measure_standing_statistics(generator, batches, size, classes=classes, **settings)


def _save_module(components, config, folder) -> HubTeacher:
    """Writes the averaged generator, with its statistics for all truncations, and loads it."""
    average = components.model.ema_generator
    generator = BigGANGenerator.from_config({**average.get_config(), "dtype": "float32"})
    generator.set_weights(average.get_weights())
    print("Measuring the statistics of batch normalisation for all truncations")
    _measure_statistics(components, config, generator)
    discard(folder.module)  # of a run that was stopped right here
    save_teacher(generator, folder.module)
    for place in (folder.path, folder.module):
        write_class_names(place, components.class_names)
    write_json(folder.module / "config.json", {"truncation": config.truncation})
    return HubTeacher(folder.path, truncation=config.truncation)


def _heading(config, components) -> str:
    """What the report and the module's card say first."""
    images = components.real_images
    attention = "self-attention, " if config.attention_size else ""
    return f"""# BigGAN teacher, {config.image_size} px, {images.num_classes} classes

A class-conditional generator of images, trained by `tinygan teach`: conditional batch norm on a shared class
embedding, latents for every block, {attention}spectral normalisation, averaged weights, statistics of
batch normalisation for 21 truncations. `HubTeacher` loads it; the signature is that of DeepMind's modules,
`default(z, y, truncation) -> default`, with one-hot y, and z already scaled by the truncation.

![Samples](samples.png)

Trained on {images.count:,} images of {images.name}. The weights are under what whoever trained them says; the
terms of the images may have a say in it."""


def _list_results(folder) -> dict:
    """Prints where everything is, and what to do next; returns the report."""
    places = {
        "The teacher": folder.module,
        "Images of every class": folder.samples_png,
        "The same latents during training": folder.training_gif,
        "Figures": folder.report_md,
        "Every figure and its protocol": folder.evaluation,
        "All training state": folder.checkpoints,
        "Training curves": folder.tensorboard,
    }
    path, config = shlex.quote(str(folder.path)), shlex.quote(str(folder.distill_py))
    following = (
        f"tinygan sample --model={path} --out=samples.png",
        f"tinygan distill --config={config} --workdir={path}_student",
    )
    return list_results(folder, places, following)
