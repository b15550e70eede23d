"""What an evaluation is going to do, decided and checked before the first image is drawn."""

import dataclasses
import hashlib
import json
import os

from ..classes.folder_labels import listed
from ..errors import InputError
from ..generators.generator import GeneratedImages
from ..latents import LAW
from .environment import environment
from .extractors.loading import load_extractor
from .figures import SETTINGS
from .generated_labels import LABEL_LAWS, draw_labels
from .reference import ReferenceStatistics
from .subjects import (
    check_pair,
    drawing_truncation,
    is_images,
    open_generator,
    open_reference,
    open_subject_images,
    open_test_images,
)

NUM_IMAGES = 10_000
VERSIONS = ("tinygan-keras", "tensorflow", "keras", "numpy", "pillow")


@dataclasses.dataclass(frozen=True)
class Plan:
    """Opened and checked inputs.

    Attributes:
        subject: Image source: `GeneratedImages`, or real files.
        teacher: `GeneratedImages` of the teacher on the same latents, or None.
        extractor: A `FeatureExtractor`.
        reference: `ReferenceStatistics`, or None.
        classification_test: Image source with labels, or None.
        class_names: Name per label, or None.
        seed: Of the latents and of every random choice.
        protocol: Everything that moves a figure. None where it isn't known.
        notes: What has to be said about the inputs.
    """

    subject: object
    teacher: GeneratedImages | None
    extractor: object
    reference: ReferenceStatistics | None
    classification_test: object
    class_names: tuple | None
    seed: int
    protocol: dict
    notes: list

    @property
    def fingerprint(self) -> str:
        """Changes with everything that the features depend on."""
        made_from = [self.protocol, identity(self.subject)["content_hash"]]
        return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


def make_plan(
    generator,
    extractor,
    reference,
    teacher,
    num_images,
    labels,
    truncation,
    seed,
    resize,
    classification_test,
    progress,
) -> Plan:
    """Opens the inputs of `evaluate`, which documents them, and checks that they fit together.

    What costs nothing comes first: a mistyped name should not wait until real images are measured.

    Raises:
        ValueError, FileNotFoundError, OSError: see `evaluate`.
    """
    if seed < 0:
        raise InputError(f"Got seed={seed}. Expected 0 or more.")
    notes = []
    drawn = not is_images(generator)
    names = None
    if drawn:
        generator = open_generator(generator, truncation)
        truncation = drawing_truncation(generator, truncation, notes)
        names = generator.class_names
    else:
        _refuse_for_images(num_images=num_images, truncation=truncation, teacher=teacher)
        if labels != "auto":
            _refuse_for_images(labels=labels)
    if teacher is not None:
        teacher = open_generator(teacher, truncation)
        drawing_truncation(teacher, truncation, notes)
        check_pair(generator, teacher)
    test = open_test_images(classification_test, names)
    extractor = _open_extractor(extractor, resize)
    reference = open_reference(reference, extractor, names, progress)
    real_names = None if reference is None else reference.class_names
    law = None
    if drawn:
        real_labels = None if reference is None else reference.labels
        law, drawn_labels = draw_labels(
            labels, num_images or NUM_IMAGES, generator, real_labels, seed
        )
        subject = GeneratedImages(generator, drawn_labels, seed, truncation)
        teacher = teacher and GeneratedImages(teacher, drawn_labels, seed, truncation)
        if law == "reference":
            _note_undrawn(generator, drawn_labels, notes)
    else:
        subject = open_subject_images(generator, real_names)
        names = subject.class_names
        if reference is not None:
            reference = reference.renumbered(names)
        notes += subject.warnings
        if test is not None and subject.labels is None:
            raise InputError(
                f"Got {subject.name} without labels. Expected labelled images: a classifier is to learn "
                "from them. Sort them into a folder per class, or leave classification_test out."
            )
    if reference is not None:
        notes += reference.check(extractor, subject.image_size)
        _note_unnamed(reference, names, notes)
    protocol = _protocol(extractor, reference, subject, law, seed, teacher)
    return Plan(
        subject, teacher, extractor, reference, test, names or real_names, seed, protocol, notes
    )


def _open_extractor(extractor, resize):
    if isinstance(extractor, (str, os.PathLike)):
        return load_extractor(extractor, resize=resize)
    if resize is not None:
        raise InputError(
            f"Got resize={resize!r} and a loaded extractor. Expected None: give it to load_extractor."
        )
    return extractor


def _refuse_for_images(**given):
    for name, value in given.items():
        if value is not None:
            raise InputError(
                f"Got {name}={value!r} and a set of images. Expected none: all images are taken as they "
                "are, and the latents behind them aren't known."
            )


def _note_undrawn(generator, labels, notes):
    missing = sorted(set(range(generator.num_classes or 0)) - set(labels.tolist()))
    if missing:
        names = [generator.class_names[k] if generator.class_names else str(k) for k in missing]
        notes.append(
            f"No image is drawn of {len(missing)} of {generator.num_classes} classes "
            f"({listed(names, 10)}): labels are drawn as the real images have them."
        )


def _note_unnamed(reference, names, notes):
    if reference.labels is not None and (names is None) != (reference.class_names is None):
        unnamed = "generated" if names is None else "real"
        first = (names or reference.class_names)[0]
        notes.append(
            f"The {unnamed} images have no class names: labels are matched by number, so that 0 is "
            f"{first} everywhere."
        )


def identity(subject) -> dict:
    """What a set of images is of, for the record."""
    if not isinstance(subject, GeneratedImages):
        return {"source": subject.name, "format": "images", "content_hash": subject.fingerprint}
    fields = ("source", "format", "content_hash", "parameters", "image_size", "num_classes")
    return {name: getattr(subject.generator, name) for name in fields}


def _protocol(extractor, reference, subject, law, seed, teacher) -> dict:
    drawn = isinstance(subject, GeneratedImages)
    real = {} if reference is None else reference.protocol or {}
    versions = environment()["versions"]
    return {
        **extractor.protocol(subject.image_size),
        "image_size": subject.image_size,
        "generated_images": subject.count,
        "real_images": real.get("real_images"),
        "real_features": None if reference is None else reference.kept,
        "reference": None if reference is None else reference.fingerprint,
        "labels": LABEL_LAWS.get(law, law),
        "truncation": subject.truncation if drawn else None,
        "latents": LAW if drawn else None,
        "seed": seed,
        "weights": subject.generator.weights if drawn else None,
        "teacher": teacher.generator.content_hash if teacher else None,
        **SETTINGS,
        "versions": {name: versions[name] for name in VERSIONS},
    }
