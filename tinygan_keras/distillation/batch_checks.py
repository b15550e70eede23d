"""What fits together, checked before any training starts: the networks, and a batch of data.

The keys of a batch are checked whenever a step is traced; the values of the first batch once, at the
start of `fit`.
"""

import numpy as np
import tensorflow as tf

from ..errors import InputError

REQUIRED = ("latent", "label")
KEYS = (*REQUIRED, "teacher_image", "image", "image_label", "fresh_latent")


def check_agreement(first_name, first, second_name, second):
    """Raises ValueError if two parts differ in a size that both have."""
    for attribute, meaning in (
        ("image_size", "image size"),
        ("latent_dim", "latent length"),
        ("num_classes", "number of classes"),
    ):
        got, expected = (getattr(part, attribute, None) for part in (second, first))
        if None not in (got, expected) and got != expected:
            raise InputError(
                f"Got {second_name} with {meaning} {got}. Expected {expected}, as {first_name} has. "
                f"Build both with the same {attribute}."
            )


def resolve_jit_compile(requested, teacher, student) -> str:
    """How to use XLA: for the whole "step", for its "parts", or not at all, "".

    "auto" uses it on a single GPU, if the teacher allows it. The whole step can't be compiled with several
    replicas, whose variables lie on several devices, nor with a teacher that isn't pure.

    Raises:
        ValueError: XLA was asked for where it can't be used.
    """
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    whole = not several and getattr(teacher, "is_pure", True)
    if requested == "auto":
        return "step" if whole and tf.config.list_physical_devices("GPU") else ""
    if requested and several and getattr(student, "synchronized", False):
        raise InputError(
            "Got jit_compile=True with batch statistics that are synchronised over replicas. Expected one of "
            "the two: XLA can't wait for other replicas. Build the student with synchronized=False (in a "
            "config synchronized_batch_norm=False), or set jit_compile=False."
        )
    return ("step" if whole else "parts") if requested else ""


def check_compilable(whole_step: bool, teacher):
    """Raises ValueError if XLA is to compile a whole step with a teacher that it can't compile."""
    if whole_step and not getattr(teacher, "is_pure", True):
        raise InputError(
            "Got jit_compile=True before a teacher that XLA can't compile (is_pure is False). Expected the "
            "teacher at compile, which then compiles the rest of the step. Call compile again, or give "
            "batches that hold 'teacher_image'."
        )


def check_keys(batch, live_teacher: bool):
    """Raises ValueError if the dict `batch` lacks a key that training needs."""
    if not hasattr(batch, "keys"):
        raise InputError(
            f"Got a batch of type {type(batch).__name__}. Expected a dict with the keys latent, label "
            "and so on (see TinyGAN). Map your data set to dicts."
        )
    required = REQUIRED if live_teacher else (*REQUIRED, "teacher_image")
    missing = [key for key in required if key not in batch]
    if missing == ["teacher_image"]:
        raise InputError(
            f"Got a batch with the keys {sorted(batch.keys())} and no live teacher. Expected "
            "'teacher_image' in the batch, or a teacher in the model: TinyGAN(..., teacher=teacher)."
        )
    if ("image" in batch) != ("image_label" in batch):
        missing.append("image_label" if "image" in batch else "image")
    if missing:
        raise InputError(
            f"Got a batch with the keys {sorted(batch.keys())}. Expected {', '.join(missing)} too. "
            "Add them to the data set; leave out both image and image_label for data-free training."
        )


def check_dataset(dataset, student, live_teacher: bool):
    """Checks the first batch of a `tf.data.Dataset` or dict of arrays against the student.

    Args:
        dataset: What `fit` got; other kinds of data pass unchecked, they can't be read twice.
        student: Gives `latent_dim`, `num_classes`, `image_size` where it has them.
        live_teacher: Whether the model computes the teacher's images itself.

    Raises:
        ValueError: no batch at all, a key is missing, or a value has the wrong shape or range.
    """
    if isinstance(dataset, tf.data.Dataset):
        element = next(iter(dataset.take(1)), None)
        if element is None:
            raise InputError(
                "Got an empty data set. Expected at least one batch; with drop_remainder=True the "
                "batch size must not exceed the number of examples."
            )
        batch = element[0] if isinstance(element, tuple) else element
    elif isinstance(dataset, dict):
        batch = dataset
    else:
        return
    check_keys(batch, live_teacher)
    batch = {key: np.asarray(value) for key, value in batch.items()}
    if not len(batch["latent"]):
        raise InputError("Got an empty data set. Expected at least one example.")
    lengths = {key: len(batch[key]) for key in KEYS if key in batch}
    if len(set(lengths.values())) > 1:
        raise InputError(
            f"Got a batch with {lengths} examples. Expected the same number for every key. Batch real "
            "and teacher images alike."
        )
    for key in ("latent", "fresh_latent"):
        _check_shape(batch, key, (getattr(student, "latent_dim", None),))
    size = getattr(student, "image_size", None)
    for key in ("teacher_image", "image"):
        _check_shape(batch, key, (size, size, 3))
        _check_range(batch, key, -1.0, 1.0, "Scale them with data.images.to_float.")
    top = getattr(student, "num_classes", None)
    for key in ("label", "image_label"):
        _check_shape(batch, key, ())
        if top is not None:
            _check_range(batch, key, 0, top - 1, f"The student has {top} classes.")


def _check_shape(batch, key, expected):
    if key not in batch:
        return
    got = batch[key].shape[1:]
    fits = len(got) == len(expected)
    fits = fits and all(e is None or g == e for g, e in zip(got, expected, strict=True))
    if not fits:
        raise InputError(
            f"Got {key!r} of shape {['B', *got]}. Expected {['B', *expected]}, as the student's. "
            "Use a data set, teacher and student of the same sizes."
        )


def _check_range(batch, key, low, high, mend):
    if key not in batch:
        return
    values = batch[key].astype("float64")
    if not np.isfinite(values).all():
        raise InputError(f"Got {key!r} with NaN or infinite values. Expected [{low}, {high}].")
    if values.min() < low - 1e-3 or values.max() > high + 1e-3:
        raise InputError(
            f"Got {key!r} with values in [{values.min():g}, {values.max():g}]. "
            f"Expected [{low:g}, {high:g}]. {mend}"
        )
