"""Trains the embedded feature extractor: a small classifier for Fashion-MNIST at 32x32x3.

    python experiments/fashion_mnist/train_classifier.py --output=saved_models/fashion_classifier

A quarter of an hour on two busy CPU cores, 92 % test accuracy. The result is a SavedModel folder with
the signature `serving_default(images float32 [B, 32, 32, 3] in [-1, 1]) -> {"features", "logits"}`, read
by `tinygan_keras.evaluation.extractors.extractor`. Every Frechet distance of this project hangs on it:
train it anew and all figures must be measured anew, which is why every evaluation states the hash of its
content as `extractor_hash`.

Batch norm uses momentum 0.9: with the usual 0.99 a run this short has statistics that lag behind.
Shifts are the only augmentation. Flips are left out because a mirrored shoe is not in the data, and a
feature extractor should notice one.
"""

import shutil
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags, logging
from keras import layers

from tinygan_keras.data.keras_sets import FASHION_MNIST_NAMES, load_fashion_mnist
from tinygan_keras.images import to_float

FLAGS = flags.FLAGS
flags.DEFINE_string("output", "saved_models/fashion_classifier", "Folder of the SavedModel.")
flags.DEFINE_integer("epochs", 8, "Passes over the training images.", lower_bound=1)
flags.DEFINE_integer("batch_size", 256, "Images per step.", lower_bound=1)
flags.DEFINE_integer("shift", 2, "Largest random shift in pixels.", lower_bound=0)
flags.DEFINE_float("learning_rate", 2e-3, "Adam's, at the start of a cosine decay to zero.")
flags.DEFINE_integer("seed", 0, "Seed of weights, data order and shifts.")

IMAGE_SHAPE = (32, 32, 3)
CHANNELS = (32, 64, 96, 128)

CARD = """# Feature extractor for Fashion-MNIST

A classifier of four 3x3 convolutions ({channels} channels), batch norm and ReLU. `features` is `pool_3`, the
global average of the last feature map, {feature_dim} floats; `logits` has one value per class.

| | |
|---|---|
| input | `images` float32 `[B, 32, 32, 3]` in [-1, 1] (28x28 padded with black to 32x32, grey repeated) |
| data | Fashion-MNIST (Xiao et al., arXiv:1708.07747, MIT licence), {train_count:,} training images |
| parameters | {parameters:,} |
| steps | {steps:,} of batch {batch_size} ({epochs} epochs), random shifts of up to {shift} pixels |
| optimiser | Adam, {learning_rate:g}, cosine decay to zero |
| wall time | {minutes:.1f} minutes, CPU |
| seed | {seed} |
| versions | TensorFlow {tensorflow}, Keras {keras} |
| test accuracy | {accuracy:.2%} of {test_count:,} test images |

| class | test accuracy |
|---|---|
{per_class}

Command:

    python experiments/fashion_mnist/train_classifier.py --epochs={epochs} --batch_size={batch_size} \\
        --shift={shift} --learning_rate={learning_rate:g} --seed={seed}
"""


def build_classifier():
    """Returns a Keras model: images -> logits [B, 10], with the features in its layer `pool_3`."""
    images = keras.Input(IMAGE_SHAPE, name="images")
    features = images
    for stage, filters in enumerate(CHANNELS):
        features = layers.Conv2D(
            filters, 3, padding="same", use_bias=False, name=f"convolution_{stage}"
        )(features)
        features = layers.BatchNormalization(momentum=0.9, name=f"norm_{stage}")(features)
        features = layers.ReLU(name=f"relu_{stage}")(features)
        if stage < len(CHANNELS) - 1:
            features = layers.MaxPooling2D(name=f"pool_{stage}")(features)
    features = layers.GlobalAveragePooling2D(name="pool_3")(features)
    logits = layers.Dense(len(FASHION_MNIST_NAMES), name="logits")(features)
    return keras.Model(images, logits, name="classifier")


def training_batches(images, labels):
    """Shuffled batches, each image shifted by its own random offset (the margin is black)."""
    order = tf.data.Dataset.from_tensor_slices((images, labels))
    order = order.shuffle(len(images), seed=FLAGS.seed).batch(FLAGS.batch_size, drop_remainder=True)

    def to_batch(step, example):
        image, label = example
        return _shifted(image, (FLAGS.seed, step)), label

    # The counter runs on through all epochs, so that no epoch repeats the shifts of another.
    steps = tf.data.Dataset.counter(dtype=tf.int32)
    batches = tf.data.Dataset.zip(steps, order.repeat(FLAGS.epochs))
    return batches.map(to_batch, num_parallel_calls=2).prefetch(2)


def _shifted(images, seed):
    margin = FLAGS.shift
    batch, height, width, _ = images.shape
    padded = tf.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    offsets = tf.random.stateless_uniform((batch, 2), seed, 0, 2 * margin + 1, tf.int32)
    rows = offsets[:, :1] + tf.range(height)
    columns = offsets[:, 1:] + tf.range(width)
    shifted = tf.gather(tf.gather(padded, rows, batch_dims=1), columns, axis=2, batch_dims=1)
    return tf.cast(shifted, tf.float32) / 127.5 - 1.0


def export(classifier, folder):
    """Writes the SavedModel with every weight once."""
    outputs = {"features": classifier.get_layer("pool_3").output, "logits": classifier.output}
    model = keras.Model(classifier.inputs[0], outputs)
    archive = keras.export.ExportArchive()
    # `archive.track(model)` would store every weight a second time; the function captures them.
    archive.add_endpoint(
        "serving_default",
        lambda images: model(images, training=False),
        input_signature=[tf.TensorSpec((None, *IMAGE_SHAPE), tf.float32, name="images")],
    )
    archive.write_out(str(folder), verbose=False)


def is_correct(folder, images, labels, batch_size=500):
    """Returns bool [N]: whether the exported SavedModel gives each image its label."""
    classify = tf.saved_model.load(str(folder)).signatures["serving_default"]
    predictions = [
        classify(images=tf.constant(to_float(images[start : start + batch_size])))["logits"]
        for start in range(0, len(images), batch_size)
    ]
    return np.argmax(np.concatenate(predictions), axis=-1) == labels


def main(_):
    keras.utils.set_random_seed(FLAGS.seed)
    train, test = load_fashion_mnist("train"), load_fashion_mnist("test")
    steps = len(train.images) // FLAGS.batch_size * FLAGS.epochs
    model = build_classifier()
    model.compile(
        optimizer=keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(FLAGS.learning_rate, steps)
        ),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    start = time.monotonic()
    model.fit(
        training_batches(train.images, train.labels),
        epochs=FLAGS.epochs,
        steps_per_epoch=steps // FLAGS.epochs,
        shuffle=False,  # the data set shuffles
        verbose=2,
    )
    minutes = (time.monotonic() - start) / 60

    output = Path(FLAGS.output)
    temporary = output.with_name(output.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    export(model, temporary)
    correct = is_correct(temporary, test.images, test.labels)
    per_class = [
        f"| {name} | {correct[test.labels == label].mean():.1%} |"
        for label, name in enumerate(FASHION_MNIST_NAMES)
    ]
    card = CARD.format(
        channels=", ".join(map(str, CHANNELS)),
        feature_dim=CHANNELS[-1],
        train_count=len(train.images),
        test_count=len(test.images),
        parameters=model.count_params(),
        steps=steps,
        minutes=minutes,
        accuracy=correct.mean(),
        per_class="\n".join(per_class),
        tensorflow=tf.__version__,
        keras=keras.__version__,
        **FLAGS.flag_values_dict(),
    )
    (temporary / "model_card.md").write_text(card)
    shutil.rmtree(output, ignore_errors=True)
    temporary.rename(output)
    logging.info("test accuracy %.4f, written to %s", correct.mean(), output)


if __name__ == "__main__":
    app.run(main)
