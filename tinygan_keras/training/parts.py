"""Loads what a run is made of, and checks that it fits together before anything is computed."""

from typing import Any, NamedTuple

from ..data import fashion_mnist
from ..data.image_source import open_images
from ..evaluation.extractors.extractor import FeatureExtractor
from ..evaluation.extractors.loading import load_extractor
from ..generators.loading import LoadedGenerator, load_generator
from ..teachers.hub import HubTeacher
from ..tinygan import TinyGAN
from .build import build_model
from .strategy import make_strategy


class Parts(NamedTuple):
    """What a run is made of, loaded and checked."""

    teacher: HubTeacher
    real: fashion_mnist.LabelledImages | None  # to train with
    judged_against: Any  # an image source, to measure distances to; or None
    extractor: FeatureExtractor | None
    reference: LoadedGenerator | None  # a finished student
    model: TinyGAN
    class_names: tuple


def prepare(config) -> Parts:
    """Loads teacher, data, extractor and networks, and checks that they fit together."""
    strategy = make_strategy(config.devices)
    if config.batch_size % strategy.num_replicas_in_sync:
        raise ValueError(
            f"Got batch_size={config.batch_size} on {strategy.num_replicas_in_sync} devices. Expected "
            "a multiple of their number. Change batch_size, or set devices='one'."
        )
    real = load_real_images(config)
    # The committed subset wherever there is one: a distance must not depend on what else is on a disk.
    judged_against = None
    if real is not None:
        judged_against = open_images(config.data_subset or config.data, fashion_mnist.CLASS_NAMES)
    extractor = None
    if config.extractor:
        extractor = load_extractor(config.extractor, resize=config.resize or None)
    reference = load_generator(config.reference_student) if config.reference_student else None
    teacher = HubTeacher(config.teacher, truncation=config.truncation)
    with strategy.scope():
        model = build_model(config, synchronized=strategy.num_replicas_in_sync > 1)
    if not config.teacher_samples:
        model.teacher = teacher
    _share_class_embedding(teacher, model)
    names = fashion_mnist.CLASS_NAMES if config.data == "fashion_mnist" else None
    names = names or tuple(str(label) for label in range(teacher.num_classes))
    parts = Parts(teacher, real, judged_against, extractor, reference, model, names)
    check_agreement(parts, config)
    return parts


def _share_class_embedding(teacher, model):
    """Starts the student's class embedding from the teacher's, as the paper does, if it has that shape."""
    table = teacher.class_embedding
    if table is None or table.shape != (model.student.num_classes, model.student.embedding_dim):
        return
    for student in (model.student, model.ema_student):
        student.set_class_embedding(table)


def load_real_images(config) -> fashion_mnist.LabelledImages | None:
    """The real images: the full set if it is on this machine or there is no subset, or the subset."""
    if config.data == "none":
        return None
    try:
        return fashion_mnist.load_fashion_mnist("train", download=not config.data_subset)
    except FileNotFoundError:
        return fashion_mnist.load_fashion_mnist_subset(config.data_subset)


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
        sizes["the real images"] = parts.real.images.shape[1]
        classes["the real images"] = len(parts.class_names)
    _check_equal("image sizes", sizes)
    _check_equal("numbers of classes", classes)
    _check_equal("latent lengths", latents)
    if parts.extractor is not None:
        parts.extractor.protocol(parts.teacher.image_size)  # refuses a size that it can't take
        _check_monitor(parts, config)


def _check_monitor(parts, config):
    ours, theirs = parts.teacher.num_classes, parts.extractor.num_classes
    if config.evaluate_every and config.monitor == "label_accuracy" and ours != theirs:
        raise ValueError(
            f"Got monitor='label_accuracy' with {ours} classes of the teacher and {theirs} of the feature "
            "extractor. Expected a classifier of the same classes. Set another monitor or extractor."
        )


def _check_equal(meaning, values):
    values = {name: value for name, value in values.items() if value is not None}
    if len(set(values.values())) > 1:
        listed = ", ".join(f"{value} ({name})" for name, value in values.items())
        raise ValueError(
            f"Got {meaning} that differ: {listed}. Expected the same everywhere. Choose other presets, "
            "or set what differs in student_overrides and discriminator_overrides."
        )
