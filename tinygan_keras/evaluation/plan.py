"""What an evaluation is going to do, decided and checked before the first image is drawn."""

import dataclasses
import hashlib
import json
import os

from ..generators.drawing import LABEL_LAWS, LAW, DrawnImages, draw_labels
from .environment import environment
from .extractors.loading import load_extractor
from .figures import SETTINGS
from .reference import ReferenceStatistics
from .subjects import (
    is_images,
    open_generator,
    open_reference,
    open_subject_images,
    open_teacher,
)

NUM_IMAGES = 10_000
DEFAULT_TRUNCATION = 0.5  # the paper's, where a generator doesn't say its own
VERSIONS = ("tinygan-keras", "tensorflow", "keras", "numpy", "pillow")


@dataclasses.dataclass(frozen=True)
class Plan:
    """Opened and checked inputs.

    Attributes:
        subject: Image source: `DrawnImages`, or real files.
        teacher: `DrawnImages` of the teacher on the same latents, or None.
        extractor: A `FeatureExtractor`.
        reference: `ReferenceStatistics`, or None.
        class_names: Name per label, or None.
        seed: Of the latents and of every random choice.
        protocol: Everything that moves a figure. None where it isn't known.
        notes: What has to be said about the inputs.
    """

    subject: object
    teacher: DrawnImages | None
    extractor: object
    reference: ReferenceStatistics | None
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
    generator, extractor, reference, teacher, num_images, labels, truncation, seed, resize, progress
) -> Plan:
    """Opens the inputs of `evaluate`, which documents them, and checks that they fit together.

    Raises:
        ValueError, FileNotFoundError, OSError: see `evaluate`.
    """
    images = is_images(generator)
    # A generator first: a mistyped name should not wait for the extractor and the real images.
    subject = None if images else open_generator(generator, truncation)
    if isinstance(extractor, (str, os.PathLike)):
        extractor = load_extractor(extractor, resize=resize)
    reference = open_reference(reference, extractor, progress)
    real_names = None if reference is None else reference.class_names
    if images:
        subject = open_subject_images(generator, real_names)
    law = None
    if not images:
        real_labels = None if reference is None else reference.labels
        law, drawn = draw_labels(labels, num_images or NUM_IMAGES, subject, real_labels, seed)
        truncation = truncation or subject.truncation or DEFAULT_TRUNCATION
        subject = DrawnImages(subject, drawn, truncation, seed)
    elif num_images not in (None, subject.count):
        raise ValueError(
            f"Got num_images={num_images} for a set of {subject.count} images. Expected None: all of "
            "them are taken. Move the others elsewhere."
        )
    teacher = open_teacher(teacher, subject)
    names = getattr(subject, "generator", subject).class_names
    notes = list(getattr(subject, "warnings", ()))
    if reference is not None:
        notes += reference.check(extractor, subject.image_size)
        if reference.labels is not None and names and not real_names:
            notes.append(
                "The real images have no class names: their label k is taken for label k of the "
                f"generated ones, so that 0 is {names[0]}."
            )
    protocol = _protocol(extractor, reference, subject, law, seed, teacher)
    return Plan(subject, teacher, extractor, reference, names or real_names, seed, protocol, notes)


def identity(subject) -> dict:
    """What a set of images is of, for the record."""
    if not isinstance(subject, DrawnImages):
        return {"source": subject.name, "form": "images", "content_hash": subject.fingerprint}
    fields = ("source", "form", "content_hash", "parameters", "image_size", "num_classes")
    return {name: getattr(subject.generator, name) for name in fields}


def _protocol(extractor, reference, subject, law, seed, teacher) -> dict:
    drawn = isinstance(subject, DrawnImages)
    real = {} if reference is None else reference.protocol or {}
    versions = environment()["versions"]
    return {
        **extractor.protocol(subject.image_size),
        "image_size": subject.image_size,
        "generated_images": subject.count,
        "real_images": real.get("real_images"),
        "real_source": real.get("real_source"),
        "reference": None if reference is None else reference.fingerprint,
        "labels": LABEL_LAWS[law] if law else None,
        "truncation": subject.truncation if drawn else None,
        "latents": LAW if drawn else None,
        "seed": seed,
        "weights": subject.generator.weights if drawn else None,
        "teacher": teacher.generator.content_hash if teacher else None,
        **SETTINGS,
        "versions": {name: versions[name] for name in VERSIONS},
    }
