r"""Trains feature extractors: small classifiers for images of 32x32x3.

    python experiments/train_classifier.py --output=saved_models/fashion_classifier
    python experiments/train_classifier.py --architecture=resnet9 --channels=16,32,64,96 \
        --dtype_policy=mixed_bfloat16 --seed=1 --output=saved_models/fashion_judge
    python experiments/train_classifier.py --data=keras:cifar10 --test=keras:cifar10:test \
        --flip --shift=4 --cutout=8 --label_smoothing=0.1 --architecture=resnet9 --epochs=22 \
        --optimizer=sgd --learning_rate=0.2 --dtype_policy=mixed_bfloat16 --output=runs/cifar10_classifier

The first takes a quarter of an hour on two busy CPU cores, 92 % test accuracy. The result is a SavedModel
folder with the signature `serving_default(images float32 [B, 32, 32, 3] in [-1, 1]) -> {"features",
"logits"}`, read by `tinygan_keras.evaluation.extractors.extractor`. Every Frechet distance of this project
hangs on it: train it anew and all figures must be measured anew, which is why every evaluation states the
hash of its content as `extractor_hash`. The second, 93 %, is a judge that no loss and no choice has seen, for
experiments/recipes. The third takes half an hour; with CIFAR-10 as JPEG files it is
saved_models/cifar10_classifier, which knows 88.4 % of the test images.

Batch norm uses momentum 0.9: with the usual 0.99 a run this short has statistics that lag behind.
Shifts are the only augmentation of Fashion-MNIST. Flips are left out because a mirrored shoe is not in the
data, and a feature extractor should notice one. What a shift lets in is the mirrored edge; it was black when
saved_models/fashion_classifier was trained.
"""

import shlex
import shutil
import sys
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags, logging
from keras import layers

from tinygan_keras import open_images
from tinygan_keras.images import to_float

FLAGS = flags.FLAGS
flags.DEFINE_string("output", "saved_models/fashion_classifier", "Folder of the SavedModel.")
flags.DEFINE_string("data", "fashion_mnist", "Training images, as `open_images` takes them.")
flags.DEFINE_string("test", "fashion_mnist:test", "Test images, likewise.")
flags.DEFINE_enum("architecture", "plain", ["plain", "resnet9"], "The network.")
flags.DEFINE_list("channels", None, "Its channels by stage; default: those of the network.")
flags.DEFINE_integer("epochs", 8, "Passes over the training images.", lower_bound=1)
flags.DEFINE_integer("batch_size", 256, "Images per step.", lower_bound=1)
flags.DEFINE_integer("shift", 2, "Largest random shift in pixels.", lower_bound=0)
flags.DEFINE_boolean("flip", False, "Mirror half of the images.")
flags.DEFINE_integer("cutout", 0, "Side of the square that is grey in every image.", lower_bound=0)
flags.DEFINE_float("label_smoothing", 0.0, "What all classes share of each label.")
flags.DEFINE_enum("optimizer", "adam", ["adam", "sgd"], "sgd: Nesterov's, with weight decay.")
flags.DEFINE_float("learning_rate", 2e-3, "The largest, before a cosine decay to zero.")
flags.DEFINE_integer("seed", 0, "Seed of weights, data order and augmentation.")
flags.DEFINE_enum(
    "dtype_policy", "float32", ["float32", "mixed_bfloat16"], "What training computes in."
)

# Flags.
IN_CARD = (
    "epochs",
    "batch_size",
    "shift",
    "label_smoothing",
    "optimizer",
    "learning_rate",
    "seed",
    "dtype_policy",
)
FASHION_MNIST = {
    "data": "Fashion-MNIST (Xiao et al., arXiv:1708.07747, MIT licence)",
    "padding": " (28x28 padded with black to 32x32, grey repeated)",
}
IMAGE_SHAPE = (32, 32, 3)
CHANNELS = {"plain": (32, 64, 96, 128), "resnet9": (24, 48, 96, 160)}
FEATURES = "pool_3"

CARD = """# Feature extractor

{network} ({channels} channels).
`features` is `pool_3`, the global average of the last feature map, {feature_dim} floats;
`logits` has one value per class.

| | |
|---|---|
| input | `images` float32 `[B, 32, 32, 3]` in [-1, 1]{padding} |
| data | {data}, {train_count:,} training images |
| parameters | {parameters:,} |
| steps | {steps:,} of batch {batch_size} ({epochs} epochs) |
| augmentation | random shifts of up to {shift} pixels{mirrored}{greyed} |
| label smoothing | {label_smoothing:g} |
| optimiser | {optimizer}, {learning_rate:g}, cosine decay to zero; in {dtype_policy} |
| wall time | {minutes:.1f} minutes, CPU |
| seed | {seed} |
| versions | TensorFlow {tensorflow}, Keras {keras} |
| test accuracy | {accuracy:.2%} of {test_count:,} test images |

| class | test accuracy |
|---|---|
{per_class}

Command:

    python experiments/train_classifier.py {command}
"""


def plain(channels, num_classes):
    """A classifier of 3x3 convolutions, batch norm and ReLU, with pooling between them."""
    images = keras.Input(IMAGE_SHAPE, name="images")
    features = images
    for stage, filters in enumerate(channels):
        features = layers.Conv2D(
            filters, 3, padding="same", use_bias=False, name=f"convolution_{stage}"
        )(features)
        features = layers.BatchNormalization(momentum=0.9, name=f"norm_{stage}")(features)
        features = layers.ReLU(name=f"relu_{stage}")(features)
        if stage < len(channels) - 1:
            features = layers.MaxPooling2D(name=f"pool_{stage}")(features)
    features = layers.GlobalAveragePooling2D(name=FEATURES)(features)
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(features)
    return keras.Model(images, logits, name="classifier")


def resnet9(channels, num_classes):
    """A ResNet-9 (Page, "How to train your ResNet", 2018) of few channels, with a global average."""

    def convolution(features, filters):
        options = {"padding": "same", "use_bias": False}
        features = layers.Conv2D(filters, 3, **options)(features)
        return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(features))

    def block(features):
        filters = features.shape[-1]
        return features + convolution(convolution(features, filters), filters)

    first, second, third, last = channels
    images = keras.Input(IMAGE_SHAPE, name="images")
    features = convolution(convolution(images, first), second)
    features = block(layers.MaxPooling2D()(features))
    features = layers.MaxPooling2D()(convolution(features, third))
    features = block(convolution(features, last))
    features = layers.GlobalAveragePooling2D(name=FEATURES)(features)
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(features)
    return keras.Model(images, logits, name="classifier")


OPTIMIZERS = {
    "adam": (keras.optimizers.Adam, 0.0, {}),
    # Keras' decay isn't in the momentum: ten times the usual 5e-4 is as strong.
    "sgd": (
        keras.optimizers.SGD,
        0.2,
        {"momentum": 0.9, "nesterov": True, "weight_decay": 5e-3},
    ),
}
"""Each with the part of the run in which its rate rises, and its settings."""


def make_optimizer(steps):
    """The optimiser of the flags, with a rate that falls to zero along a cosine."""
    optimizer, warm_up, settings = OPTIMIZERS[FLAGS.optimizer]
    rise = round(warm_up * steps)
    start, peak = (0.0, FLAGS.learning_rate) if rise else (FLAGS.learning_rate, None)
    rate = keras.optimizers.schedules.CosineDecay(
        start, steps - rise, warmup_target=peak, warmup_steps=rise
    )
    return optimizer(rate, **settings)


def training_batches(images, labels, num_classes):
    """Shuffled batches of augmented images and one-hot labels."""
    order = tf.data.Dataset.from_tensor_slices((images, labels))
    order = order.shuffle(len(images), seed=FLAGS.seed).batch(FLAGS.batch_size, drop_remainder=True)

    def to_batch(step, example):
        image, label = example
        return _augmented(image, (FLAGS.seed, step)), tf.one_hot(label, num_classes)

    # The counter runs on through all epochs, so that no epoch repeats the shifts of another.
    steps = tf.data.Dataset.counter(dtype=tf.int32)
    batches = tf.data.Dataset.zip(steps, order.repeat(FLAGS.epochs))
    return batches.map(to_batch, num_parallel_calls=2).prefetch(2)


def _augmented(images, seed):
    """Shifts each image by its own offset (what enters is its mirror image), mirrors half, greys a square."""
    margin = FLAGS.shift
    batch, height, width, _ = images.shape
    padded = tf.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)), "REFLECT")
    offsets = tf.random.stateless_uniform((batch, 2), seed, 0, 2 * margin + 1, tf.int32)
    rows = offsets[:, :1] + tf.range(height)
    columns = offsets[:, 1:] + tf.range(width)
    shifted = tf.gather(tf.gather(padded, rows, batch_dims=1), columns, axis=2, batch_dims=1)
    if FLAGS.flip:
        mirrored = tf.random.stateless_uniform((batch, 1, 1, 1), (seed[0] + 1, seed[1])) < 0.5
        shifted = tf.where(mirrored, shifted[:, :, ::-1], shifted)
    augmented = tf.cast(shifted, tf.float32) / 127.5 - 1.0
    if FLAGS.cutout:
        corner = tf.random.stateless_uniform(
            (batch, 2), (seed[0] + 2, seed[1]), 1 - FLAGS.cutout, height, tf.int32
        )
        down, right = (tf.range(height) - corner[:, axis, None] for axis in (0, 1))
        rows, columns = ((side >= 0) & (side < FLAGS.cutout) for side in (down, right))
        square = rows[:, :, None, None] & columns[:, None, :, None]
        augmented = tf.where(square, 0.0, augmented)
    return augmented


def export(classifier, folder):
    """Writes the SavedModel with every weight once."""
    outputs = {"features": classifier.get_layer(FEATURES).output, "logits": classifier.output}
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
    train, test = (open_images(data) for data in (FLAGS.data, FLAGS.test))
    if None in (train.class_names, test.class_names) or train.class_names != test.class_names:
        raise app.UsageError(
            f"Got --data={FLAGS.data} of the classes {train.class_names} and --test={FLAGS.test} of the "
            f"classes {test.class_names}. Expected named classes, the same in both."
        )
    images, test_images = (data.read(0, data.count) for data in (train, test))
    steps = train.count // FLAGS.batch_size * FLAGS.epochs
    build = {"plain": plain, "resnet9": resnet9}[FLAGS.architecture]
    channels = [int(number) for number in FLAGS.channels or CHANNELS[FLAGS.architecture]]
    keras.config.set_dtype_policy(FLAGS.dtype_policy)
    model = build(channels, train.num_classes)
    model.compile(
        optimizer=make_optimizer(steps),
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=FLAGS.label_smoothing
        ),
        metrics=["accuracy"],
    )
    start = time.monotonic()
    model.fit(
        training_batches(images, train.labels, train.num_classes),
        epochs=FLAGS.epochs,
        steps_per_epoch=steps // FLAGS.epochs,
        shuffle=False,  # the data set shuffles
        verbose=2,
    )
    minutes = (time.monotonic() - start) / 60
    keras.config.set_dtype_policy("float32")
    trained, model = model, build(channels, train.num_classes)
    model.set_weights(trained.get_weights())

    output = Path(FLAGS.output)
    temporary = output.with_name(output.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    export(model, temporary)
    correct = is_correct(temporary, test_images, test.labels)
    per_class = [
        f"| {name} | {correct[test.labels == label].mean():.1%} |"
        for label, name in enumerate(train.class_names)
    ]
    card = CARD.format(
        network=build.__doc__.partition(".")[0],
        channels=", ".join(map(str, channels)),
        feature_dim=channels[-1],
        train_count=train.count,
        test_count=test.count,
        mirrored=", half of them mirrored" if FLAGS.flip else "",
        greyed=f", a grey square of {FLAGS.cutout} in each" if FLAGS.cutout else "",
        command=shlex.join(flag for flag in sys.argv[1:] if not flag.startswith("--output")),
        parameters=model.count_params(),
        steps=steps,
        minutes=minutes,
        accuracy=correct.mean(),
        per_class="\n".join(per_class),
        tensorflow=tf.__version__,
        keras=keras.__version__,
        **{name: FLAGS[name].value for name in IN_CARD},
        **(FASHION_MNIST if FLAGS.data == "fashion_mnist" else {"data": train.name, "padding": ""}),
    )
    (temporary / "model_card.md").write_text(card)
    shutil.rmtree(output, ignore_errors=True)
    temporary.rename(output)
    logging.info("test accuracy %.4f, written to %s", correct.mean(), output)


if __name__ == "__main__":
    app.run(main)
