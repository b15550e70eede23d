"""What a training gets, checked: networks that fit together, arguments of Keras without meaning here, data.

Decisions:
- What can be known before the first step is refused before it: data that never ends, the first batch of every
  kind of data that can be read twice, leftovers that replicas can't share.
- Keys, types and shapes are checked whenever a step is traced, so for data of every kind.
- Values are checked in every step, on the devices (`BatchFaults`). The host reads what they found after 1,
  2, 4, 8, ... batches and at the end of an epoch, so that no step waits for it.
"""

import itertools
import types

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from ..errors import InputError
from .distributed_step import MetricOfOneEpoch

LATENTS, IMAGES, LABELS = (
    ("latent", "fresh_latent"),
    ("teacher_image", "image"),
    ("label", "image_label"),
)
_FINITE = float(np.finfo("float32").max)
_ROUNDING = 1e-3  # of images that were scaled in half precision
_INSTEAD = {
    "optimizer": "Pass g_optimizer and d_optimizer, one for each network.",
    "loss": "The losses are those of the paper; compile takes their weights, such as pixel_weight.",
    "loss_weights": "Pass the weights by name, such as pixel_weight.",
    "metrics": "The logs hold every term; figures of images come from tinygan_keras.EvaluationCallback.",
    "weighted_metrics": "The logs hold every term.",
    "auto_scale_loss": "In float16 the loss is always scaled.",
    "y": "A batch is one dict, see TinyGAN; the labels are its keys 'label' and 'image_label'.",
    "sample_weight": "Every image counts alike. Leave examples out of the data, or repeat them.",
    "class_weight": "Every class counts alike. Repeat examples of the classes that should count more.",
    "SwapEMAWeights": "model.ema_student is the average, and predict uses it.",
}


def check_unused(place: str, **given):
    """Raises InputError for the first argument of Keras that is given and has no meaning here."""
    for name, value in given.items():
        if value is not None:
            instead = _INSTEAD.get(name, "Remove it.")
            raise InputError(f"Got {name} in {place}. Expected none in a TinyGAN. {instead}")


def check_agreement(first_name, first, second_name, second):
    """Raises InputError if two components differ in a size that both have."""
    for attribute, meaning in (
        ("image_size", "image size"),
        ("latent_dim", "latent length"),
        ("num_classes", "number of classes"),
    ):
        got, expected = (getattr(one, attribute, None) for one in (second, first))
        if None not in (got, expected) and got != expected:
            raise InputError(
                f"Got {second_name} with {meaning} {got}. Expected {expected}, as {first_name} has. "
                f"Build both with the same {attribute}."
            )


def check_batch(batch, student, live_teacher: bool):
    """Raises InputError if a batch, of arrays or of tensors, lacks a key or has a wrong type or shape."""
    if not hasattr(batch, "keys"):
        raise InputError(
            f"Got a batch of type {type(batch).__name__}. Expected a dict with the keys latent, label "
            "and so on (see TinyGAN). Map your data set to dicts."
        )
    _check_keys(batch, live_teacher)
    size = getattr(student, "image_size", None)
    expected = dict.fromkeys(LATENTS, (getattr(student, "latent_dim", None),))
    expected |= dict.fromkeys(IMAGES, (size, size, 3)) | dict.fromkeys(LABELS, ())
    shapes = {key: tuple(batch[key].shape) for key in expected if key in batch}
    for key, shape in shapes.items():
        if key in LABELS:
            _check_labels(key, shape, batch[key].dtype)
        elif len(shape) != 1 + len(expected[key]) or any(
            None not in (got, wanted) and got != wanted
            for got, wanted in zip(shape[1:], expected[key], strict=True)
        ):
            raise InputError(
                f"Got {key!r} of shape {['B', *shape[1:]]}. Expected {['B', *expected[key]]}, as the "
                "student's. Use a data set, teacher and student of the same sizes."
            )
    rows = {key: shape[0] for key, shape in shapes.items() if shape[0] is not None}
    if len(set(rows.values())) > 1:
        raise InputError(
            f"Got a batch with {rows} examples. Expected the same number for every key. Batch real "
            "and teacher images alike."
        )
    if 0 in rows.values():
        raise InputError("Got an empty data set. Expected at least one example.")


def _check_keys(batch, live_teacher):
    required = ("latent", "label") if live_teacher else ("latent", "label", "teacher_image")
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


def _check_labels(key, shape, dtype):
    whole = "int" in keras.backend.standardize_dtype(dtype)
    if whole and shape[1:] in ((), (1,)):
        return
    fix = "Give one class number per image."
    if len(shape) == 2 and (shape[1] or 0) > 1:
        fix = "One-hot labels become class numbers with np.argmax(labels, axis=-1)."
    elif not whole and shape[1:] in ((), (1,)):
        fix = "Cast the class numbers with astype('int32')."
    raise InputError(
        f"Got {key!r} of type {keras.backend.standardize_dtype(dtype)} and shape {['B', *shape[1:]]}. "
        f"Expected int ['B']. {fix}"
    )


def allowed_values(student) -> dict:
    """The smallest and largest value by key of a batch; a label only where the student has `num_classes`."""
    allowed = dict.fromkeys(LATENTS, (-_FINITE, _FINITE)) | dict.fromkeys(IMAGES, (-1.0, 1.0))
    if getattr(student, "num_classes", None) is not None:
        allowed |= dict.fromkeys(LABELS, (0, student.num_classes - 1))
    return allowed


def check_values(batch, allowed):
    """Raises InputError if an array of a batch holds a value that isn't allowed."""
    for key, (low, high) in allowed.items():
        if key in batch:
            values = np.asarray(batch[key])
            ends = values.min(), values.max()  # NaN if there is one
            if not (low - _slack(key) <= ends[0] and ends[1] <= high + _slack(key)):
                _refuse(key, ends[0] if ends[0] < low - _slack(key) else ends[1], low, high)


def _slack(key):
    return _ROUNDING if key in IMAGES else 0.0


def _refuse(key, value, low, high, where=""):
    value = float(value)
    got = f"the value {value:g}" if np.isfinite(value) else "NaN or infinite values"
    expected, fix = f"[{low:g}, {high:g}]", "Scale them with tinygan_keras.images.to_float."
    if key in LABELS:
        fix = f"The student has {high + 1} classes, which count from 0."
    elif key in LATENTS:
        expected, fix = "numbers", "Check what they are computed from."
    raise InputError(f"Got {key!r} with {got}{where}. Expected {expected}. {fix}")


class BatchFaults(MetricOfOneEpoch):
    """On the devices: how many batches of an epoch hold a value that isn't allowed, and the first such value.

    A replica writes into a row of its own. Keras adds the tables of all replicas up where they are read, so
    that no step waits for another device.
    """

    def __init__(self, allowed):
        super().__init__(name="batch_faults", dtype="float32")
        self.allowed = allowed
        self.replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self.table = self.add_variable((self.replicas, 2, len(allowed)), "zeros", name="table")

    def update_state(self, batch):
        found = [self._look(batch, key) for key in self.allowed]
        faulty, values = (ops.stack(column) for column in zip(*found, strict=True))
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        table = ops.convert_to_tensor(self.table)
        first = ops.logical_and(faulty, table[replica, 0] == 0)
        row = ops.stack([ops.cast(faulty, "float32"), ops.where(first, values, 0.0)])
        own = ops.equal(ops.arange(self.replicas), replica)[:, None, None]
        self.table.assign_add(ops.where(own, row[None], 0.0))  # NaN times 0 would be NaN

    def _look(self, batch, key):
        """Whether the values of a key are at fault, and one that is."""
        if key not in batch:
            return tf.constant(False), tf.constant(0.0)
        low, high = self.allowed[key]
        low, high = low - _slack(key), high + _slack(key)
        values = ops.cast(batch[key], "float32")
        smallest, largest = ops.min(values), ops.max(values)
        total = ops.sum(values)  # the only one of the three that always passes NaN on
        fits = (smallest >= low) & (largest <= high) & ops.isfinite(total)
        outside = ops.where(largest > high, largest, total - total)
        return ops.logical_not(fits), ops.where(smallest < low, smallest, outside)

    def nearest(self, key, labels):
        """Labels of the nearest classes there are; without them, some devices would stop and some go on."""
        return ops.clip(labels, *self.allowed[key]) if key in self.allowed else labels

    def result(self):
        return {}  # not a figure for the logs

    def check(self):
        """Raises InputError if a batch was at fault; waits for the devices."""
        table = ops.convert_to_numpy(self.table)
        if not table[:, 0].any():
            return
        self.reset_state()
        column = int(np.argmax(table[:, 0].sum(0)))
        key = list(self.allowed)[column]
        count, value = table[np.argmax(table[:, 0, column]), :, column]
        where = f" in {count:.0f} {'batch' if count == 1 else 'batches'} of this epoch"
        _refuse(key, value, *self.allowed[key], where)


class CheckBatches(keras.callbacks.Callback):
    """Reports what `BatchFaults` found, soon after it was found and before anything is saved."""

    def on_epoch_begin(self, epoch, logs=None):
        self._next = 1

    def on_train_batch_begin(self, batch, logs=None):
        if batch >= self._next:
            self._next = 2 * batch
            self.model.batch_faults.check()

    def on_epoch_end(self, epoch, logs=None):
        self.model.batch_faults.check()

    def on_test_begin(self, logs=None):
        self.model.batch_faults.check()  # before the metrics are reset

    def on_test_end(self, logs=None):
        self.model.batch_faults.check()


def read_batch(model, data) -> dict:
    """The one dict of a batch, of arrays or of tensors, its keys, types and shapes checked."""
    batch, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    check_unused("a batch", y=y, sample_weight=sample_weight)
    if hasattr(batch, "keys"):
        batch = {k: v if hasattr(v, "shape") else np.asarray(v) for k, v in batch.items()}
    check_batch(batch, model.student, live_teacher=model.teacher is not None)
    return batch


def check_first_batch(model, data):
    """Raises InputError if a batch of arrays can't be trained with."""
    check_values(read_batch(model, data), model.batch_faults.allowed)


def check_data(model, data, batch_size=None, steps=None, steps_name="steps_per_epoch"):
    """Checks what `fit` or `evaluate` got, as far as it can be read twice.

    Args:
        model: The `TinyGAN`.
        data: Dict of arrays, `tf.data.Dataset`, `keras.utils.PyDataset`, generator, or any other kind.
        batch_size: Rows of a batch, of a dict of arrays.
        steps: Number of batches, or None for all.
        steps_name: The argument that says so.

    Returns:
        The data to use.

    Raises:
        InputError: it never ends, is empty or wrong, or its last batch has fewer rows than replicas.
    """
    replicas = model.distribute_strategy.num_replicas_in_sync
    if isinstance(data, tf.data.Dataset):
        _check_ends(data.cardinality() == tf.data.INFINITE_CARDINALITY, steps, steps_name)
        check_first_batch(model, _first(iter(data.take(1))))
        if replicas > 1 and tf.nest.flatten(data.element_spec)[0].shape[:1] == [None]:
            # Nobody knows what is left over at the end; what replicas can't share is left out.
            data = data.filter(lambda *batch: tf.shape(tf.nest.flatten(batch)[0])[0] >= replicas)
    elif isinstance(data, dict):
        check_first_batch(model, data)
        count = len(data["latent"])
        left_over = count % (batch_size or 32)
        if left_over < min(replicas, count):
            data = {key: value[: count - left_over] for key, value in data.items()}
    elif isinstance(data, keras.utils.PyDataset):
        batches = data.num_batches
        _check_ends(batches is None, steps, steps_name)
        check_first_batch(model, _first(iter([] if batches == 0 else [data[0]])))
        rows = len(read_batch(model, data[batches - 1])["latent"]) if batches else replicas
        if rows < replicas:
            raise InputError(
                f"Got a last batch of {rows} rows for {replicas} replicas. Expected a row for each of them. "
                "Choose a batch size that divides the number of examples, or leave these examples out."
            )
    elif isinstance(data, types.GeneratorType):
        first = _first(data)
        check_first_batch(model, first)
        # Keras takes no dicts of a generator, only tuples of them.
        batches = itertools.chain([first], data)
        data = (batch if isinstance(batch, tuple) else (batch,) for batch in batches)
    return data


def _first(batches):
    for batch in batches:
        return batch
    raise InputError(
        "Got an empty data set. Expected at least one batch; with drop_remainder=True the batch size "
        "must not exceed the number of examples."
    )


def _check_ends(endless, steps, steps_name):
    if endless and steps is None:
        raise InputError(
            f"Got an endless data set without {steps_name}. Expected a number of batches after which an "
            f"epoch ends. Pass {steps_name}."
        )
