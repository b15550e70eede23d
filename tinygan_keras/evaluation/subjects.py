"""What can be evaluated, and what it is held against, from whatever the caller has at hand."""

import os
from pathlib import Path

from ..data.image_decoding import SUFFIXES
from ..data.image_sets import open_images
from ..errors import InputError
from ..generators.opening import open_generator as open_any
from ..latents import DEFAULT_TRUNCATION
from ..teachers.catalog import check_truncation
from .reference import ReferenceStatistics, is_reference_file, load_reference
from .reference_cache import cached_reference


def is_images(subject) -> bool:
    """Whether it is a set of images, or the path of one, rather than a generator."""
    if not isinstance(subject, (str, os.PathLike)):
        return hasattr(subject, "read")
    path = Path(subject).expanduser()
    if path.suffix == ".npz":
        return True
    models = ("saved_model.pb", "saved_model.pbtxt", "student.keras", "config.json")
    if not path.is_dir() or any((path / name).exists() for name in models):
        return False
    entries = (entry for pattern in ("*", "*/*") for entry in path.glob(pattern))
    return any(entry.suffix.lower() in SUFFIXES for entry in entries)


def open_subject_images(subject, class_names=None):
    """Opens a set of images.

    Args:
        subject: A path, or an image source.
        class_names: Name per label of the real images, by which sub-folders get their labels.
    """
    return subject if hasattr(subject, "read") else open_images(subject, class_names=class_names)


def open_generator(generator, truncation=None):
    """Opens a generator.

    Args:
        generator: A path or handle, a Keras model, a `HubTeacher`, or a `Generator`.
        truncation: Handed to a teacher, whose statistics depend on it.

    Raises:
        ValueError, FileNotFoundError: it is none of these.
    """
    in_memory = not isinstance(generator, (str, os.PathLike))
    return open_any(generator, None if in_memory else truncation)


def check_pair(student, teacher):
    """Makes sure that a teacher can draw what a student draws.

    Args:
        student, teacher: `Generator`s.

    Raises:
        ValueError: latents, sizes or classes differ.
    """
    for name in ("latent_dim", "image_size", "num_classes", "class_names"):
        ours, theirs = getattr(student, name), getattr(teacher, name)
        if None not in (ours, theirs) and ours != theirs:
            raise InputError(
                f"Got a student with {name}={ours} and a teacher with {name}={theirs}. Expected the "
                "same; name the teacher that this student was distilled from."
            )


def drawing_truncation(generator, truncation, notes: list) -> float:
    """The scale of the latents for a generator.

    Args:
        generator: A `Generator`.
        truncation: What the caller asks for, or None.
        notes: Gets a word if it has to be assumed.

    Raises:
        ValueError: out of range, or not the one that a teacher in memory draws at.
    """
    if truncation is None:
        truncation = generator.truncation
    if truncation is None:
        truncation = DEFAULT_TRUNCATION
        notes.append(
            f"{generator.source} doesn't say which truncation it was trained with: {truncation} is "
            "assumed."
        )
    check_truncation(truncation, generator.source)
    if generator.format == "teacher" and generator.truncation != truncation:
        raise InputError(
            f"Got {generator.source}, which draws at truncation {generator.truncation}, and latents of "
            f"truncation {truncation}. Expected the same; load the teacher with this truncation."
        )
    return truncation


def open_reference(
    reference, extractor, class_names=None, progress=True
) -> ReferenceStatistics | None:
    """The statistics of real images: given, read, or measured now and kept for the next time.

    Args:
        reference: See `evaluate`.
        extractor: A `FeatureExtractor`.
        class_names: Name per label of the generated images; labels of real ones follow their names.
        progress: Show a progress bar while measuring.

    Raises:
        ValueError: the real images have other classes.
    """
    if reference is None:
        return None
    if isinstance(reference, (str, os.PathLike)):
        if is_reference_file(reference):
            reference = load_reference(reference)
        else:
            reference = open_images(reference, class_names=class_names)
    if not isinstance(reference, ReferenceStatistics):
        reference = cached_reference(reference, extractor, progress=progress)
    return reference.renumbered(class_names)


def open_test_images(test, class_names=None):
    """Labelled real images for the classification accuracy score; None if None.

    Raises:
        ValueError: they have no labels, or other classes.
    """
    if test is None:
        return None
    if isinstance(test, (str, os.PathLike)):
        test = open_images(test, class_names=class_names)
    if test.labels is None:
        raise InputError(
            f"Got the test images {test.name} without labels. Expected labelled real images: a folder "
            "per class, or an .npz with labels."
        )
    if None not in (class_names, test.class_names) and tuple(test.class_names) != tuple(
        class_names
    ):
        raise InputError(
            f"Got test images of the classes {', '.join(test.class_names[:5])}, ... Expected those of "
            f"the generated images, {', '.join(class_names[:5])}, ..., in the same order."
        )
    return test
