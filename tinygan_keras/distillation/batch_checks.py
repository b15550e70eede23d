"""What a training gets, checked: networks that fit together, arguments of Keras without meaning here, data.

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

LATENTS = ("latent", "fresh_latent")
IMAGES = ("teacher_image", "image")
LABELS = ("label", "image_label")
_INSTEAD = {
    "optimizer": "Pass g_optimizer and d_optimizer, one for each network.",
    "loss": "The losses are those of the paper; compile takes their weights, such as pixel_weight.",
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
    for size in ("image_size", "latent_dim", "num_classes"):
        got, expected = (getattr(one, size, None) for one in (second, first))
        if None not in (got, expected) and got != expected:
            raise InputError(
                f"Got {second_name} with {size} {got}. Expected {expected}, as {first_name} has. "
                f"Build both with the same {size}."
            )


def read_batch(model, data) -> dict:
    """The one dict of a batch, of arrays or of tensors, its keys, types and shapes checked."""
    batch, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    check_unused("a batch", y=y, sample_weight=sample_weight)
    if not hasattr(batch, "keys"):
        raise InputError(
            f"Got a batch of type {type(batch).__name__}. Expected a dict with the keys latent, label "
            "and so on (see TinyGAN). Map your data set to dicts."
        )
    batch = {k: v if hasattr(v, "shape") else np.asarray(v) for k, v in batch.items()}
    required = ["latent", "label", *(["teacher_image"] if model.teacher is None else [])]
    if "image" in batch or "image_label" in batch:
        required += ["image", "image_label"]
    missing = [key for key in required if key not in batch]
    if missing:
        raise InputError(
            f"Got a batch with the keys {sorted(batch)}. Expected {', '.join(missing)} too. A live teacher, "
            "TinyGAN(..., teacher=teacher), stands in for teacher_image; data-free training needs neither "
            "image nor image_label."
        )
    size, latent_dim = (getattr(model.student, n, None) for n in ("image_size", "latent_dim"))
    sizes = dict.fromkeys(LATENTS, (latent_dim,)) | dict.fromkeys(IMAGES, (size, size, 3))
    sizes |= dict.fromkeys(LABELS, ())
    rows = [count or None for count in batch["latent"].shape[:1]]
    for key in sizes:
        if key in batch:
            _check_shape(key, batch[key], [*rows, *sizes[key]])
    return batch


def _check_shape(key, value, expected):
    dtype, shape = keras.backend.standardize_dtype(value.dtype), list(value.shape)
    fits = tf.TensorShape(expected).is_compatible_with(shape) and 0 not in shape
    fix = "Use a data set, teacher and student of the same sizes."
    if key in LABELS:
        fits = "int" in dtype and (fits or tf.TensorShape([*expected, 1]).is_compatible_with(shape))
        fix = (
            "Give one class number per image: np.argmax(labels, axis=-1) of one-hot labels, "
            "labels.astype('int32') of other types."
        )
    if not fits:
        raise InputError(
            f"Got {key!r} of shape {shape} and type {dtype}. Expected shape {expected}, the same number of "
            f"examples for every key, at least one, and the sizes of the student. {fix}"
        )


def check_first_batch(model, batches):
    """Returns the first of some batches of arrays; raises InputError if it can't be trained with."""
    for batch in batches:
        model.batch_faults.check_values(read_batch(model, batch))
        return batch
    raise InputError(
        "Got an empty data set. Expected at least one batch; with drop_remainder=True the batch size "
        "must not exceed the number of examples."
    )


def check_data(model, data, batch_size, settings, steps="steps_per_epoch"):
    """Returns the data to use; raises InputError where what can be read twice can't be trained with."""
    replicas = model.distribute_strategy.num_replicas_in_sync
    endless = isinstance(data, keras.utils.PyDataset) and data.num_batches is None
    if isinstance(data, tf.data.Dataset):
        endless = data.cardinality() == tf.data.INFINITE_CARDINALITY
    if endless and settings.get(steps) is None:
        raise InputError(
            f"Got an endless data set without {steps}. Expected a number of batches after which an "
            f"epoch ends. Pass {steps}."
        )
    if isinstance(data, tf.data.Dataset):
        check_first_batch(model, data.take(1))
        if replicas > 1 and tf.nest.flatten(data.element_spec)[0].shape[:1] == [None]:
            # Nobody knows what is left over at the end; what replicas can't share is left out.
            data = data.filter(lambda *batch: tf.shape(tf.nest.flatten(batch)[0])[0] >= replicas)
    elif isinstance(data, dict):
        check_first_batch(model, [data])
        count = len(data["latent"])
        left_over = count % (batch_size or 32)
        if left_over < min(replicas, count):
            data = {key: value[: count - left_over] for key, value in data.items()}
    elif isinstance(data, keras.utils.PyDataset):
        batches = data.num_batches
        check_first_batch(model, [] if batches == 0 else [data[0]])
        rows = len(read_batch(model, data[batches - 1])["latent"]) if batches else replicas
        if rows < replicas:
            raise InputError(
                f"Got a last batch of {rows} rows for {replicas} replicas. Expected a row for each of them. "
                "Choose a batch size that divides the number of examples, or leave these examples out."
            )
    elif isinstance(data, types.GeneratorType):
        batches = itertools.chain([check_first_batch(model, data)], data)
        # Keras takes no dicts of a generator, only tuples of them.
        data = (batch if isinstance(batch, tuple) else (batch,) for batch in batches)
    return data


def _allowed_values(student) -> dict:
    """The smallest and largest value by key of a batch, and what a refusal says of them."""
    finite = float(np.finfo("float32").max)
    bound = 1.0 + 1e-3  # rounding of images that were scaled in half precision
    latents = -finite, finite, "numbers. Check what they are computed from."
    images = -bound, bound, "[-1, 1]. Scale them with tinygan_keras.images.to_float."
    allowed = dict.fromkeys(LATENTS, latents) | dict.fromkeys(IMAGES, images)
    classes = getattr(student, "num_classes", None)
    if classes is not None:
        last = classes - 1
        fix = f"[0, {last}]. The student has {classes} classes, which count from 0."
        allowed |= dict.fromkeys(LABELS, (0, last, fix))
    return allowed


class BatchFaults(MetricOfOneEpoch):
    """On the devices: how many batches of an epoch hold a value that isn't allowed, and the first one."""

    def __init__(self, student):
        super().__init__(name="batch_faults", dtype="float32")
        self.allowed = _allowed_values(student)
        self.replicas = tf.distribute.get_strategy().num_replicas_in_sync
        # A replica writes into a row of its own. Keras adds the tables up where they are read, so no step
        # waits for another device.
        shape = (self.replicas, 2, len(self.allowed))
        self.table = self.add_variable(shape, "zeros", name="table")

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
        low, high, _ = self.allowed[key]
        values = ops.cast(batch[key], "float32")
        smallest, largest = ops.min(values), ops.max(values)
        total = ops.sum(values)  # the only one of the three that always passes NaN on
        fits = (smallest >= low) & (largest <= high) & ops.isfinite(total)
        outside = ops.where(largest > high, largest, total - total)
        return ops.logical_not(fits), ops.where(smallest < low, smallest, outside)

    def nearest(self, key, labels):
        """Labels of the nearest classes there are; without them, some devices would stop and some go on."""
        return ops.clip(labels, *self.allowed[key][:2]) if key in self.allowed else labels

    def result(self):
        return {}  # not a figure for the logs

    def check(self):
        """Raises InputError if a batch was at fault; waits for the devices."""
        table = ops.convert_to_numpy(self.table)
        if table[:, 0].any():
            self.reset_state()
            column = int(np.argmax(table[:, 0].sum(0)))
            count, value = table[np.argmax(table[:, 0, column]), :, column]
            where = f" in {count:.0f} {'batch' if count == 1 else 'batches'} of this epoch"
            self._refuse(list(self.allowed)[column], value, where)

    def check_values(self, batch):
        """Raises InputError if an array of a batch holds a value that isn't allowed."""
        with tf.device("CPU:0"):  # it may be all the data there is
            for key in self.allowed:
                faulty, value = self._look(batch, key)
                if faulty:
                    self._refuse(key, value)

    def _refuse(self, key, value, where=""):
        value = float(value)
        got = f"the value {value:g}" if np.isfinite(value) else "NaN or infinite values"
        raise InputError(f"Got {key!r} with {got}{where}. Expected {self.allowed[key][2]}")


class CheckBatches(keras.callbacks.Callback):
    """Reports what `BatchFaults` found, soon after it was found and before anything is saved."""

    def on_epoch_begin(self, epoch, logs=None):
        self._next = 1

    def on_train_batch_begin(self, batch, logs=None):
        if batch >= self._next:
            self._next = 2 * batch
            self.model.batch_faults.check()

    def on_epoch_end(self, *epoch_and_logs):
        self.model.batch_faults.check()

    on_test_begin = on_test_end = on_epoch_end  # the metrics are reset in between
