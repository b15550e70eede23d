"""Classification accuracy score: how well a classifier trained on generated images knows real ones.

It finds what a Frechet distance forgives, such as classes that are mixed up or shown in one pose only. One
compact residual network serves every image size; the paper's ResNet-50 takes days of CPU. So a score
compares with scores of this function, not with published ones; its yardstick is that of as many real images.
Weights, order and shifts come from `seed` alone: Keras' own shuffling moves the global random state. Batch
norm uses momentum 0.9: with 0.99 the statistics of a training this short lag behind.
"""

import functools
import itertools
import math

import numpy as np

from ...classes.folder_labels import listed
from ...errors import InputError
from ...progress import rewrites_lines
from .logits import label_accuracy
from .registry import Figure, Measured, MeasuredImages, metric

BATCH_SIZE = 128
EPOCHS = 10
LEARNING_RATE = 3e-3  # Adam's highest, reached half-way through the first epoch
STEM_CHANNELS, FIRST_CHANNELS, MOST_CHANNELS = 16, 32, 256
_SMALLEST_MAP = 4  # pixels; stages halve the map until it is this small
_TEST_BATCH = 500


@metric(
    "classification_accuracy",
    {"classification_accuracy": Figure("classification accuracy score", "higher", ".2%")},
    needs=("labels", "classification_test"),
    columns=(),
)
def measure_classification_accuracy(images: MeasuredImages) -> Measured:
    """How well a classifier that is trained on the images knows real test images; takes minutes."""
    ours, test = images.source, images.classification_test
    num_classes = 1 + int(max(ours.labels.max(), test.labels.max()))
    accuracy, parameters = classification_accuracy_score(
        ours.read(0, ours.count),
        ours.labels,
        test.read(0, test.count),
        test.labels,
        num_classes,
        seed=images.seed,
        progress=images.progress,
    )
    missing = [str(label) for label in range(num_classes) if label not in ours.labels]
    note = f"The classifier learned from no image of {len(missing)} classes: {listed(missing, 10)}."
    protocol = {"test": test.fingerprint, "epochs": EPOCHS, "parameters": parameters}
    protocol |= {"train_images": ours.count, "test_images": test.count}
    figures = {"classification_accuracy": accuracy}
    return Measured(figures, (note,) if missing else (), protocol={"classification": protocol})


def check_test_images(images, test):
    """Refuses sizes on which no classifier can be trained and tested."""
    if not _SMALLEST_MAP <= images.image_size == test.image_size:
        raise InputError(
            f"Got generated images of {images.image_size} pixels and test images of {test.image_size}. "
            f"Expected one size, at least {_SMALLEST_MAP}. Resize the test images."
        )


def classification_accuracy_score(
    train_images,
    train_labels,
    test_images,
    test_labels,
    num_classes: int,
    epochs: int = EPOCHS,
    seed: int = 0,
    progress: bool = False,
) -> tuple[float, int]:
    """Trains a classifier on generated images, and measures on how many real images it is right.

    Images are uint8 `[N, S, S, 3]`, S at least 4, labels int32 `[N]`. Adam, warmed up and then decayed to
    zero along a cosine; each image is shifted by up to a sixteenth of its size, with its border pixels
    repeated, and never flipped: a mirrored letter may be in no data set. 10,000 images of 32 pixels take
    about 165 seconds of processor time. On one CPU a seed gives one score.

    Returns the accuracy, in [0, 1], and the number of parameters; raises ArithmeticError if it diverged.
    Reference: Ravuri & Vinyals, arXiv:1905.10887.
    """
    import keras

    batch_size = min(BATCH_SIZE, len(train_labels))
    steps = len(train_labels) // batch_size
    warmup = max(1, steps // 2)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, steps * epochs - warmup),
        warmup_target=LEARNING_RATE,
        warmup_steps=warmup,
        name="cosine",
    )
    classifier = build_classifier(train_images.shape[1], num_classes, seed)
    classifier.compile(
        optimizer=keras.optimizers.Adam(schedule, name="adam"),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    classifier.fit(
        _training_batches(train_images, train_labels, batch_size, epochs, seed),
        epochs=epochs,
        steps_per_epoch=steps,
        shuffle=False,  # the batches are shuffled already
        verbose=(1 if rewrites_lines() else 2) if progress else 0,
    )
    accuracy = label_accuracy(_logits(classifier, test_images), test_labels)
    return accuracy, classifier.count_params()


def build_classifier(image_size: int, num_classes: int, seed: int = 0):
    """The residual network (He et al., arXiv:1512.03385): images uint8 `[B, S, S, 3]` to logits `[B, C]`."""
    import keras
    from keras import layers

    seeds = iter(np.random.SeedSequence(seed).generate_state(100))
    full = {"dtype": "float32"}  # whatever the caller's policy: two scores must not differ by it
    relu = layers.ReLU(name="relu", **full)
    numbers = itertools.count()  # for names of our own: Keras' count up in the whole process

    def convolution(inputs, channels, kernel, strides):
        number = next(numbers)
        initializer = keras.initializers.HeNormal(seed=int(next(seeds)))
        options = {"padding": "same", "use_bias": False, "kernel_initializer": initializer, **full}
        name = f"convolution_{number}"
        outputs = layers.Conv2D(channels, kernel, strides, name=name, **options)(inputs)
        return layers.BatchNormalization(momentum=0.9, name=f"norm_{number}", **full)(outputs)

    images = keras.Input((image_size, image_size, 3), dtype="uint8", name="images")
    features = layers.Rescaling(1 / 127.5, -1.0, name="range", **full)(images)
    features = relu(convolution(features, STEM_CHANNELS, 3, 1))
    for stage in range(max(1, math.ceil(math.log2(image_size / _SMALLEST_MAP)))):
        channels = min(FIRST_CHANNELS * 2**stage, MOST_CHANNELS)
        shortcut = convolution(features, channels, 1, 2)
        features = relu(convolution(features, channels, 3, 2))
        features = convolution(features, channels, 3, 1)
        features = relu(layers.Add(name=f"add_{stage}", **full)([features, shortcut]))
    features = layers.GlobalAveragePooling2D(name="pool", **full)(features)
    initializer = keras.initializers.GlorotUniform(seed=int(next(seeds)))
    logits = layers.Dense(num_classes, kernel_initializer=initializer, name="logits", **full)
    return keras.Model(images, logits(features), name="classification_accuracy_classifier")


def _training_batches(images, labels, batch_size, epochs, seed):
    """All epochs one after the other, each in its own order, every image with its own shift."""
    import tensorflow as tf

    size = images.shape[1]
    margin = size // 16

    def batches():
        random = np.random.default_rng(seed)
        for _ in range(epochs):
            order = random.permutation(len(labels))
            for start in range(0, len(labels) - batch_size + 1, batch_size):
                rows = order[start : start + batch_size]
                # Indices beyond the border are those of the border: this repeats its pixels.
                shifts = random.integers(-margin, margin + 1, (2, batch_size, 1))
                y, x = np.clip(shifts + np.arange(size), 0, size - 1)
                yield images[rows[:, None, None], y[:, :, None], x[:, None, :]], labels[rows]

    shape = (batch_size, size, size, 3)
    signature = tf.TensorSpec(shape, tf.uint8), tf.TensorSpec((batch_size,), tf.int32)
    return tf.data.Dataset.from_generator(batches, output_signature=signature).prefetch(2)


def _logits(classifier, images) -> np.ndarray:
    import tensorflow as tf

    classify = tf.function(functools.partial(classifier, training=False), reduce_retracing=True)
    starts = range(0, len(images), _TEST_BATCH)
    logits = np.concatenate([classify(images[start : start + _TEST_BATCH]) for start in starts])
    if not np.isfinite(logits).all():
        raise ArithmeticError(
            "Got logits that are not finite. Expected numbers; the training diverged. Try another seed."
        )
    return logits
