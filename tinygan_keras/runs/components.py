"""Loads what a run is made of, and checks that it fits together before anything is computed."""

from pathlib import Path
from typing import Any, NamedTuple

from ..classes.imagenet import imagenet_names
from ..classes.selection import class_numbers, is_imagenet
from ..data import fashion_mnist
from ..data.image_source import open_images
from ..data.real_images.opening import open_training_images
from ..data.real_images.real_images import RealImages
from ..distillation.tinygan import TinyGAN
from ..errors import InputError
from ..evaluation.extractors.extractor import FeatureExtractor
from ..evaluation.extractors.loading import load_extractor
from ..generators.generator import Generator
from ..generators.opening import open_generator
from ..generators.side_files import read_class_names
from ..teachers.hub import HubTeacher
from .build import build_model
from .devices import make_strategy


class Parts(NamedTuple):
    """What a run is made of, loaded and checked."""

    teacher: HubTeacher
    real: RealImages | None  # to train with
    judged_against: Any  # an image source, to measure distances to; or None
    extractor: FeatureExtractor | None
    reference: Generator | None  # a finished student
    model: TinyGAN
    class_names: tuple
    classes: tuple | None  # labels that the run is restricted to; None for all


def prepare(config, strategy=None) -> Parts:
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
    extractor = None
    if config.extractor:
        extractor = load_extractor(config.extractor, resize=config.resize or None)
    reference = open_generator(config.reference_student) if config.reference_student else None
    teacher = HubTeacher(config.teacher, truncation=config.truncation)
    real, class_names, classes = open_data(config, teacher)
    live = not config.teacher_samples and not config.teacher_cache
    with strategy.scope():
        several = strategy.num_replicas_in_sync > 1
        synchronized = several and config.synchronized_batch_norm
        model = build_model(config, synchronized, teacher if live else None)
    _share_class_embedding(teacher, model)
    parts = Parts(
        teacher,
        real,
        _judged_against(config, real, class_names),
        extractor,
        reference,
        model,
        class_names,
        classes,
    )
    check_agreement(parts, config)
    return parts


def _share_class_embedding(teacher, model):
    """Starts the student's class embedding from the teacher's, as the paper does, if it has that shape."""
    table = teacher.class_embedding
    if table is None or table.shape != (model.student.num_classes, model.student.embedding_dim):
        return
    for student in (model.student, model.ema_student):
        student.set_class_embedding(table)


def open_data(config, teacher):
    """Opens the real images of a config and says what was found.

    Returns:
        `RealImages` or None, a name for each class of the teacher, and the labels that the setting `classes`
        means, or None for all.
    """
    number, named = teacher.num_classes, read_class_names(Path(teacher.folder))
    if named is None and config.data == "fashion_mnist":
        named = fashion_mnist.CLASS_NAMES
    classes = None
    if config.classes.strip():
        classes = tuple(class_numbers(config.classes, number, named, distinct=True).tolist())
    real = open_training_images(
        config.data, teacher.image_size, number, classes, named, config.data_subset
    )
    names = getattr(real, "class_names", None) or named
    if names is None:
        names = imagenet_names() if is_imagenet(number) else tuple(map(str, range(number)))
    if real is not None:
        print(real.report(config.horizontal_flip))
    return real, tuple(names), classes


def _judged_against(config, real, class_names):
    """The real images that figures are measured with; None without."""
    if real is None or not config.extractor:
        return None
    if config.data == "fashion_mnist" and real.classes is None:
        # The committed subset wherever there is one: a distance must not depend on what else is on a disk.
        return open_images(config.data_subset or config.data, class_names)
    return real.draw(config.evaluation_images, config.sample_seed)


def check_agreement(parts, config):
    """Raises ValueError if image sizes, latents or classes differ between the parts of a run.

    A feature extractor may have other classes, and with a kernel to resize images another size.
    """
    networks = {
        "the teacher": parts.teacher,
        "the student": parts.model.student,
        "the discriminator": parts.model.discriminator,
        "the reference student": parts.reference,
    }
    sizes = {name: getattr(part, "image_size", None) for name, part in networks.items()}
    sizes["the setting image_size"] = config.image_size
    classes = {name: getattr(part, "num_classes", None) for name, part in networks.items()}
    latents = {name: getattr(part, "latent_dim", None) for name, part in networks.items()}
    if parts.real is not None:
        sizes["the real images"] = parts.real.image_size
        classes["the real images"] = parts.real.num_classes
    _check_equal("image sizes", sizes)
    _check_equal("numbers of classes", classes)
    _check_equal("latent lengths", latents)
    if parts.extractor is not None:
        parts.extractor.protocol(parts.teacher.image_size)  # refuses a size that it can't take
        _check_monitor(parts, config)


def _check_monitor(parts, config):
    ours, theirs = parts.teacher.num_classes, parts.extractor.num_classes
    if config.evaluate_every and config.monitor == "label_accuracy" and ours != theirs:
        raise InputError(
            f"Got monitor='label_accuracy' with {ours} classes of the teacher and {theirs} of the feature "
            "extractor. Expected a classifier of the same classes. Set another monitor or extractor."
        )


def _check_equal(meaning, values):
    values = {name: value for name, value in values.items() if value is not None}
    if len(set(values.values())) > 1:
        listed = ", ".join(f"{value} ({name})" for name, value in values.items())
        raise InputError(
            f"Got {meaning} that differ: {listed}. Expected the same everywhere. Choose other presets, "
            "or set what differs in student_overrides and discriminator_overrides."
        )
