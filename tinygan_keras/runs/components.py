"""What a run is made of: teacher, data and model, by the settings, checked before anything is computed."""

import dataclasses
from pathlib import Path
from typing import Any

import keras
from keras import ops

from ..classes.imagenet import imagenet_names
from ..classes.selection import class_numbers, is_imagenet
from ..data.batches import distillation_batches
from ..data.image_sets import ImageSet, open_images, open_training_images
from ..data.keras_sets import FASHION_MNIST_NAMES
from ..data.teacher_cache import TeacherCache
from ..data.teacher_samples import sample_teacher
from ..distillation.tinygan import PACKAGE, TinyGAN
from ..errors import InputError
from ..evaluation.extractors.extractor import FeatureExtractor, load_extractor
from ..generators.generator import Generator
from ..generators.opening import open_generator
from ..generators.side_files import read_class_names
from ..networks.discriminator import Discriminator
from ..networks.student import StudentGenerator
from ..teachers.hub import HubTeacher
from .config import LOSS_SETTINGS, check_sample_seed
from .devices import make_strategy

_XLA = {"auto": "auto", "on": True, "off": False}


@dataclasses.dataclass
class Components:
    """What a run is made of."""

    teacher: HubTeacher
    cache: TeacherCache | None  # of the teacher's samples
    real_images: ImageSet | None  # to train with
    measured_images: Any  # real images to measure distances to; None without
    extractor: FeatureExtractor | None
    reference_student: Generator | None
    model: TinyGAN
    class_names: tuple
    classes: tuple | None  # labels that the run is restricted to; None for all

    def fingerprints(self) -> dict:
        """Hashes of the data that decide what a resumed training would see."""
        return {
            "cached teacher images": self.cache.fingerprint if self.cache else None,
            "real images": self.real_images.fingerprint if self.real_images else None,
        }


def open_components(config, strategy=None) -> Components:
    """Loads teacher, data, extractor and networks, and checks that they fit together.

    Args:
        config: A complete config.
        strategy: The strategy to build the model under; None makes the one of the config.
    """
    strategy = strategy or make_strategy(config.devices)
    if config.batch_size % strategy.num_replicas_in_sync:
        raise InputError(
            f"Got batch_size={config.batch_size} on {strategy.num_replicas_in_sync} devices. Expected "
            "a multiple of their number. Change batch_size, or set devices='one'."
        )
    extractor = reference_student = None
    if config.extractor:
        extractor = load_extractor(config.extractor, resize=config.resize or None)
    if config.reference_student:
        reference_student = open_generator(config.reference_student)
    teacher = HubTeacher(config.teacher, truncation=config.truncation)
    real_images, class_names, classes = open_data(config, teacher)
    live = not config.teacher_samples and not config.teacher_cache
    with strategy.scope():
        several = strategy.num_replicas_in_sync > 1
        synchronized = several and config.synchronized_batch_norm
        model = build_model(config, synchronized, teacher if live else None)
    _share_class_embedding(teacher, model)
    measured_images = _measured_images(config, real_images, class_names) if extractor else None
    components = Components(
        teacher,
        None,
        real_images,
        measured_images,
        extractor,
        reference_student,
        model,
        class_names,
        classes,
    )
    _check_agreement(components, config)
    components.cache = open_cache(config, teacher, classes)
    return components


def build_model(config, synchronized=False, teacher=None) -> TinyGAN:
    """Returns the compiled, untrained `TinyGAN` of a complete config.

    Args:
        config: A complete config (see `config.validate`).
        synchronized: Synchronise batch normalisation over the replicas of a strategy.
        teacher: The live teacher; None where batches bring its images. What XLA compiles depends on it.
    """
    keras.utils.set_random_seed(config.seed)
    student = _network(config, "student", StudentGenerator, synchronized=synchronized)
    discriminator = _network(config, "discriminator", Discriminator)
    model = TinyGAN(
        student,
        discriminator,
        teacher,
        ema_decay=config.ema_decay,
        truncation=config.truncation,
        seed=config.seed,
        name=config.name,
    )
    model.compile(
        g_optimizer=_adam(config, config.g_learning_rate),
        d_optimizer=_adam(config, config.d_learning_rate),
        divergence_limit=config.divergence_limit,
        jit_compile=_XLA[config.jit_compile],
        steps_per_execution=config.steps_per_execution,
        **{name: config[name] for name in LOSS_SETTINGS},
    )
    return model


@keras.saving.register_keras_serializable(PACKAGE)
class LinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that is constant up to `start` and then falls linearly to 0 at `steps`.

    Args:
        learning_rate: The constant rate.
        start: Step at which the decay starts.
        steps: Step at which the rate is 0.
    """

    def __init__(self, learning_rate: float, start: int, steps: int):
        self.learning_rate = learning_rate
        self.start = start
        self.steps = steps

    def __call__(self, step):
        left = (self.steps - ops.cast(step, "float32")) / max(1, self.steps - self.start)
        return self.learning_rate * ops.clip(left, 0.0, 1.0)

    def get_config(self):
        names = ("learning_rate", "start", "steps")
        return {name: getattr(self, name) for name in names}


def open_data(config, teacher):
    """Opens the real images of a config and says what was found.

    Returns:
        Real images or None, a name for each class of the teacher, and the labels that the setting `classes`
        means, or None for all.
    """
    number, named = teacher.num_classes, read_class_names(Path(teacher.folder))
    if named is None and config.data == "fashion_mnist":
        named = FASHION_MNIST_NAMES
    classes = None
    if config.classes.strip():
        classes = tuple(class_numbers(config.classes, number, named, distinct=True).tolist())
    real_images = open_training_images(
        config.data, teacher.image_size, number, classes, named, config.data_subset
    )
    names = getattr(real_images, "class_names", None) or named
    if names is None:
        names = imagenet_names() if is_imagenet(number) else tuple(map(str, range(number)))
    if real_images is not None:
        print(real_images.report(config.horizontal_flip))
    return real_images, tuple(names), classes


def open_cache(config, teacher, classes) -> TeacherCache | None:
    """Opens the cache of a config, if it names one, and checks that it is of this teacher."""
    if not config.teacher_cache:
        return None
    cache = TeacherCache(config.teacher_cache)
    pairs = {
        "teacher's content hash": (cache.content_hash, teacher.content_hash),
        "truncation": (float(cache.truncation), float(config.truncation)),
        "latent length": (cache.latent_dim, teacher.latent_dim),
        "image size": (cache.image_size, teacher.image_size),
        "number of classes": (cache.num_classes, teacher.num_classes),
        "list of classes": (
            tuple(sorted(cache.classes)),
            tuple(classes or range(teacher.num_classes)),
        ),
    }
    for meaning, (ours, theirs) in pairs.items():
        if ours != theirs:
            raise InputError(
                f"Got teacher_cache={config.teacher_cache!r} with the {meaning} {_short(ours)}, made with "
                f"the teacher {cache.teacher}. Expected {_short(theirs)}, as in this config with the teacher "
                f"{config.teacher}. Make a cache with `tinygan cache`, or change the config."
            )
    if cache.count < config.batch_size:
        raise InputError(
            f"Got teacher_cache={config.teacher_cache!r} with {cache.count} samples. Expected at least one "
            f"batch ({config.batch_size}). Make a larger cache, or lower batch_size."
        )
    check_sample_seed(config, cache.settings["seed"], cache.count)
    return cache


def open_batches(config, components, start_step=0):
    """The batches of a run, from a step on; generates the teacher's samples that the config asks for."""
    source = components.cache or components.teacher
    if config.teacher_samples:
        source = sample_teacher(
            components.teacher, config.teacher_samples, config.seed, classes=components.classes
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
    arguments = {"dtype": config.dtype_policy, **arguments, **overrides}
    return network.from_preset(config[name], **arguments)


def _adam(config, learning_rate):
    start = round(config.learning_rate_decay_start * config.steps)
    return keras.optimizers.Adam(
        LinearDecay(learning_rate, start, config.steps),
        beta_1=config.beta_1,
        beta_2=config.beta_2,
        global_clipnorm=config.gradient_clip_norm or None,
    )


def _share_class_embedding(teacher, model):
    """Starts the student's class embedding from the teacher's, as the paper does, if it has that shape."""
    table = teacher.class_embedding
    if table is None or table.shape != (model.student.num_classes, model.student.embedding_dim):
        return
    for student in (model.student, model.ema_student):
        student.set_class_embedding(table)


def _measured_images(config, real_images, class_names):
    """The real images that figures are measured with; None without."""
    if real_images is None:
        return None
    if config.data == "fashion_mnist" and real_images.classes is None:
        # The committed subset wherever there is one: a distance must not depend on what else is on a disk.
        return open_images(config.data_subset or config.data, class_names=class_names)
    return real_images.draw(config.evaluation_images, config.sample_seed)


def _check_agreement(components, config):
    """Refuses image sizes, latents or classes that differ.

    A feature extractor may have other classes, and with a kernel to resize images another size.
    """
    parts = {
        "the teacher": components.teacher,
        "the student": components.model.student,
        "the discriminator": components.model.discriminator,
        "the reference student": components.reference_student,
        "the real images": components.real_images,
        "the setting image_size": config,
    }
    for attribute, meaning in (
        ("image_size", "image sizes"),
        ("num_classes", "numbers of classes"),
        ("latent_dim", "latent lengths"),
    ):
        values = {name: getattr(part, attribute, None) for name, part in parts.items()}
        values = {name: value for name, value in values.items() if value is not None}
        if len(set(values.values())) > 1:
            listed = ", ".join(f"{value} ({name})" for name, value in values.items())
            raise InputError(
                f"Got {meaning} that differ: {listed}. Expected the same everywhere. Choose other presets, "
                "or set what differs in student_overrides and discriminator_overrides."
            )
    if components.extractor is None:
        return
    # Refuses a size that it can't take.
    components.extractor.protocol(components.teacher.image_size)
    ours, theirs = components.teacher.num_classes, components.extractor.num_classes
    if config.evaluate_every and config.monitor == "label_accuracy" and ours != theirs:
        raise InputError(
            f"Got monitor='label_accuracy' with {ours} classes of the teacher and {theirs} of the feature "
            "extractor. Expected a classifier of the same classes. Set another monitor or extractor."
        )


def _short(value):
    if isinstance(value, tuple) and len(value) > 8:
        return f"{len(value)} classes {', '.join(map(str, value[:6]))}, ..."
    return str(value)
