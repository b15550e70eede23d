"""What can be evaluated, and what it is held against, from whatever the caller has at hand."""

import os
from pathlib import Path

from ..data.image_folder import SUFFIXES
from ..data.image_source import open_images
from ..generators.drawing import DrawnImages
from ..generators.loading import as_generator, load_generator
from .reference import (
    ReferenceStatistics,
    cached_reference,
    is_reference_file,
    load_reference,
)


def is_images(subject) -> bool:
    """Whether it is a set of images, or the path of one, rather than a generator."""
    if not isinstance(subject, (str, os.PathLike)):
        return hasattr(subject, "read")
    path = Path(subject)
    if path.suffix == ".npz":
        return True
    models = ("saved_model.pb", "saved_model.pbtxt", "student.keras")
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
    return subject if hasattr(subject, "read") else open_images(subject, class_names)


def open_generator(generator, truncation=None):
    """Opens a generator.

    Args:
        generator: A path or handle, a Keras model, a `HubTeacher`, or a `LoadedGenerator`.
        truncation: Handed to a teacher, whose statistics depend on it.

    Raises:
        ValueError, FileNotFoundError: it is none of these.
    """
    if isinstance(generator, (str, os.PathLike)):
        return load_generator(generator, truncation)
    return as_generator(generator)


def open_teacher(teacher, subject) -> DrawnImages | None:
    """The teacher's images for the latents and labels of a student's.

    Raises:
        ValueError: the subject isn't drawn here, or latents, sizes or classes differ.
    """
    if teacher is None:
        return None
    if not isinstance(subject, DrawnImages):
        raise ValueError(
            f"Got a teacher and the images {subject.name}. Expected a generator: a comparison needs "
            "the latents behind the images. Leave the teacher out."
        )
    teacher = open_generator(teacher, subject.truncation)
    student = subject.generator
    for name in ("latent_dim", "image_size", "num_classes"):
        ours, theirs = getattr(student, name), getattr(teacher, name, None)
        if ours is not None and ours != theirs:
            raise ValueError(
                f"Got a student with {name}={ours} and a teacher with {name}={theirs}. Expected the "
                "same; name the teacher that this student was distilled from."
            )
    return DrawnImages(teacher, subject.labels, subject.truncation, subject.seed)


def open_reference(reference, extractor, progress=True) -> ReferenceStatistics | None:
    """The statistics of real images: given, read, or measured now and kept for the next time."""
    if reference is None or isinstance(reference, ReferenceStatistics):
        return reference
    if isinstance(reference, (str, os.PathLike)):
        if is_reference_file(reference):
            return load_reference(reference)
        reference = open_images(reference)
    return cached_reference(reference, extractor, progress=progress)
