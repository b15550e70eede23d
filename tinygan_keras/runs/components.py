"""What a run is made of, by its settings: opened and checked before anything is computed."""

import contextlib
import dataclasses
import textwrap
from typing import Any

import keras
from keras import ops
from ml_collections import ConfigDict

from ..classes.imagenet import imagenet_names
from ..classes.selection import class_numbers, is_imagenet
from ..data.batches import distillation_batches
from ..data.image_sets import ImageSet, open_images, open_training_images
from ..data.keras_sets import FASHION_MNIST_NAMES
from ..data.records.record_format import GIVEN, read_settings
from ..data.teacher_cache import TeacherCache
from ..data.teacher_samples import sample_teacher
from ..distillation.batch_checks import check_agreement
from ..distillation.tinygan import PACKAGE, TinyGAN
from ..errors import InputError, MissingFileError
from ..evaluation.extractors.extractor import FeatureExtractor, load_extractor
from ..generators.generator import Generator
from ..generators.opening import open_generator
from ..generators.side_files import read_class_names
from ..networks.discriminator import Discriminator
from ..networks.student import StudentGenerator
from ..teachers.hub import HubTeacher
from .config import LOSS_SETTINGS, check_sample_seed, differences
from .devices import resolve_dtype_policy

_XLA = {"auto": "auto", "on": True, "off": False}


@dataclasses.dataclass
class Components:
    """What a run is made of."""

    teacher: HubTeacher | TeacherCache  # the cache, where there is no teacher
    cache: TeacherCache | None  # of the teacher's samples
    real_images: ImageSet | None  # to train with
    measured_images: Any  # real images to measure distances to; None without
    extractor: FeatureExtractor | None
    reference_student: Generator | None
    model: TinyGAN
    class_names: tuple
    classes: tuple | None  # labels that the run is restricted to; None for all


def open_components(config, strategy) -> Components:
    """Opens teacher, data, extractor and networks of a complete config, and checks that they fit."""
    replicas = strategy.num_replicas_in_sync
    if config.batch_size % (replicas * config.accumulate_steps):
        pieces = config.accumulate_steps
        each = f", each in accumulate_steps={pieces} pieces" if pieces > 1 else ""
        raise InputError(
            f"Got batch_size={config.batch_size} on {replicas} devices{each}. Expected a multiple of their "
            "number. Change batch_size, or set devices='one'."
        )
    extractor = reference_student = measured = cache = None
    if config.extractor:
        extractor = load_extractor(config.extractor, resize=config.resize or None)
    if config.reference_student:
        reference_student = open_generator(config.reference_student)
    if config.teacher == "none":
        teacher = TeacherCache(config.teacher_cache)
    else:
        teacher = HubTeacher(config.teacher, truncation=config.truncation)
    names = getattr(teacher, "class_names", None) or read_class_names(teacher.folder)
    check_agreement("the teacher", teacher, "the setting image_size", config)
    if reference_student is not None:
        check_agreement("the teacher", teacher, "the reference student", reference_student)
    real_images, names, classes = open_data(config, teacher, names)
    if real_images is not None:
        print(real_images.report(config.horizontal_flip))
    if extractor is not None:
        check_extractor(config, extractor, teacher)
        measured = open_measured_images(config, real_images, names)
    if config.teacher_cache:
        cache = open_cache(config, teacher, classes)
    with strategy.scope():
        live = not config.teacher_samples and cache is None
        synchronized = replicas > 1 and config.synchronized_batch_norm
        model = build_model(config, synchronized, teacher if live else None)
    check_agreement("the teacher", teacher, "the student", model.student)
    # The student's class embedding starts from the teacher's, if it has that shape.
    table, student = teacher.class_embedding, model.student
    if table is not None and table.shape == (student.num_classes, student.embedding_dim):
        student.set_class_embedding(table)
        model.ema_student.set_class_embedding(table)
    return Components(
        teacher, cache, real_images, measured, extractor, reference_student, model, names, classes
    )


def without_teacher(config) -> ConfigDict:
    """The config without its teacher, if its cache is of imported pairs, which have none."""
    if config.teacher_cache:
        with contextlib.suppress(MissingFileError):  # said later, if the run isn't finished yet
            settings = read_settings(config.teacher_cache).settings
            config.teacher = "none" if settings.get("latents") == GIVEN else config.teacher
    return config


def check_extractor(config, extractor, generator):
    """Refuses an extractor that can't take the images, or has other classes than the monitor needs."""
    # With a kernel to resize images they may have another size.
    extractor.protocol(generator.image_size)
    ours, theirs = generator.num_classes, extractor.num_classes
    if config.evaluate_every and config.monitor == "label_accuracy" and ours != theirs:
        raise InputError(
            f"Got monitor='label_accuracy' with {ours} classes of the teacher and {theirs} of the feature "
            "extractor. Expected the same classes. Set another monitor or extractor."
        )


def build_model(config, synchronized=False, teacher=None) -> TinyGAN:
    """The compiled, untrained `TinyGAN` of a complete config; without a teacher, batches have its images."""
    dtype = resolve_dtype_policy(config.dtype_policy)
    keras.utils.set_random_seed(config.seed)
    model = TinyGAN(
        _network(config, "student", StudentGenerator, dtype=dtype, synchronized=synchronized),
        _network(config, "discriminator", Discriminator, dtype=dtype),
        teacher,
        ema_decay=config.ema_decay,
        truncation=config.truncation,
        seed=config.seed,
        name=config.name,
    )
    model.compile(
        g_optimizer=make_optimizer(config, config.g_learning_rate),
        d_optimizer=make_optimizer(config, config.d_learning_rate),
        accumulate_steps=config.accumulate_steps,
        divergence_limit=config.divergence_limit,
        jit_compile=_XLA[config.jit_compile],
        steps_per_execution=config.steps_per_execution,
        **{name: config[name] for name in LOSS_SETTINGS},
    )
    return model


def scale_learning_rates(model, config, factor):
    """Trains on with the rates of a config times a factor; the state of both optimisers stays."""
    model.g_optimizer.learning_rate = _schedule(config, factor * config.g_learning_rate)
    model.d_optimizer.learning_rate = _schedule(config, factor * config.d_learning_rate)
    model.train_function = None  # rates are constants of a traced step


def _schedule(config, learning_rate) -> "LinearDecay":
    start = round(config.learning_rate_decay_start * config.steps)
    return LinearDecay(learning_rate, start, config.steps)


def make_optimizer(config, learning_rate) -> keras.optimizers.Adam:
    """Adam with the betas, the decay and the clipping of a config."""
    return keras.optimizers.Adam(
        _schedule(config, learning_rate),
        beta_1=config.beta_1,
        beta_2=config.beta_2,
        epsilon=config.adam_epsilon,
        global_clipnorm=config.gradient_clip_norm or None,
    )


@keras.saving.register_keras_serializable(PACKAGE)
class LinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that is constant up to the step `start` and then falls linearly to 0 at `steps`."""

    def __init__(self, learning_rate: float, start: int, steps: int):
        self.learning_rate, self.start, self.steps = learning_rate, start, steps

    def __call__(self, step):
        left = (self.steps - ops.cast(step, "float32")) / max(1, self.steps - self.start)
        return self.learning_rate * ops.clip(left, 0.0, 1.0)

    def get_config(self):
        return {"learning_rate": self.learning_rate, "start": self.start, "steps": self.steps}


def open_data(config, generator, named=None) -> tuple:
    """The real images of a config or None, a name per class, and the labels it is restricted to or None."""
    size, number = generator.image_size, generator.num_classes
    if named is None and config.data == "fashion_mnist":
        named = FASHION_MNIST_NAMES
    classes = restricted_classes(config, number, named)
    images = open_training_images(config.data, size, number, classes, named, config.data_subset)
    names = getattr(images, "class_names", None) or named
    if names is None:
        names = imagenet_names() if is_imagenet(number) else map(str, range(number))
    return images, tuple(names), classes


def restricted_classes(config, num_classes, class_names) -> tuple | None:
    """The labels that a run is restricted to; None for all."""
    if not config.classes.strip():
        return None
    return tuple(class_numbers(config.classes, num_classes, class_names, distinct=True).tolist())


def open_measured_images(config, real_images, class_names):
    """The real images that figures are measured with, cropped and resized as in training; None without."""
    if real_images is None:
        return None
    plain = config.data == "fashion_mnist" and real_images.image_size == 32
    if plain and real_images.classes is None:
        # The committed subset wherever there is one: a distance must not depend on what else is on a disk.
        return open_images(config.data_subset or config.data, class_names=class_names)
    return real_images.draw(config.evaluation_images, config.sample_seed)


def open_cache(config, teacher, classes) -> TeacherCache:
    """Opens the cache of a config, and checks that it is of this teacher and these classes."""
    cache = TeacherCache(config.teacher_cache)
    got = f"Got teacher_cache={config.teacher_cache!r}"
    names = ("content_hash", "truncation", "latent_dim", "image_size", "num_classes")
    found = {name: getattr(cache, name) for name in names}
    expected = {name: getattr(teacher, name) for name in names} | {"truncation": config.truncation}
    found["classes"] = sorted(cache.classes)
    everything = cache.classes if cache.given_latents else range(teacher.num_classes)
    expected["classes"] = sorted(classes or everything)
    differing = differences(expected, found)
    if differing:
        expected = "; ".join(textwrap.shorten(line, 200) for line in differing)
        raise InputError(
            f"{got} of the teacher {cache.teacher}, in a run with the teacher {config.teacher}. Expected in "
            f"the cache {expected}. Make a cache with `tinygan cache`, or change the config."
        )
    if cache.count < config.batch_size:
        raise InputError(
            f"{got} with {cache.count} samples. Expected at least one batch ({config.batch_size}). Make a "
            "larger cache, or lower batch_size."
        )
    if not cache.given_latents:
        check_sample_seed(config, cache.settings["seed"], cache.count)
    return cache


def open_batches(config, components, start_step=0, samples=None):
    """The batches of a run, from a step on; generates the teacher's samples that the config asks for.

    `samples` are taken in place of those.
    """
    source = samples or components.cache or components.teacher
    if config.teacher_samples and samples is None:
        source = sample_teacher(
            source, config.teacher_samples, config.seed, classes=components.classes
        )
    return distillation_batches(
        source,
        components.real_images,
        config.batch_size,
        seed=config.seed,
        truncation=config.truncation,
        start_step=start_step,
        classes=components.classes,
        horizontal_flip=config.horizontal_flip,
    )


def _network(config, name, network, **arguments):
    overrides = config[f"{name}_overrides"].to_dict()
    unknown = sorted(set(overrides) - set(network.ARGUMENTS))
    if unknown:  # Keras' models swallow keywords that they don't know
        raise InputError(
            f"Got {name}_overrides with {', '.join(unknown)}. Expected arguments of "
            f"{network.__name__}: {', '.join(network.ARGUMENTS)}. Correct or remove the others."
        )
    arguments = {**arguments, **overrides}
    return network.from_preset(config[name], load_weights=False, **arguments)
