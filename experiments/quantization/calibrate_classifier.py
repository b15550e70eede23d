"""Quantises a classifier without a single real image: the student draws what it is calibrated on.

    pip install -e '.[litert]'
    python experiments/quantization/calibrate_classifier.py            # a table
    python experiments/quantization/calibrate_classifier.py --write    # also into README.md

A minute on two CPU cores. It needs the 10,000 test images of Fashion-MNIST (data/keras_sets.py says
from where), which only judge.

The committed classifier becomes whole numbers throughout (LiteRT, int8), calibrated on the same number of
images of three kinds: real ones of the training set; ones that `tinygan sample --format=npz` draws with the
embedded student; and uniform noise, which shows what it costs to calibrate on anything. Every kind is drawn
anew for every seed.
"""

import statistics
import tempfile
import warnings
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import app, flags
from ai_edge_litert.interpreter import Interpreter
from results import markdown, write

from tinygan_keras.data.image_sets import open_images
from tinygan_keras.data.keras_sets import load_fashion_mnist
from tinygan_keras.generators.data_sets import write_data_set
from tinygan_keras.generators.generator import GeneratedImages, grid_of
from tinygan_keras.generators.opening import open_generator
from tinygan_keras.images import to_float

FLAGS = flags.FLAGS
flags.DEFINE_string("classifier", "saved_models/fashion_classifier", "SavedModel to quantise.")
flags.DEFINE_string("model", "saved_models/tinygan_fashion_32", "What draws: a run folder.")
flags.DEFINE_integer("per_class", 50, "Calibration images of each class.", lower_bound=1)
flags.DEFINE_integer("seeds", 3, "Draws of every kind of calibration images.", lower_bound=1)
flags.DEFINE_integer("test_images", 10_000, "Real test images.", lower_bound=100)
flags.DEFINE_bool("write", False, "Write the table into README.md, and calibration.json.")

BATCH = 100


def real_images(per_class, seed):
    """uint8 `[10 * per_class, 32, 32, 3]` of the training set, classes in turn."""
    data = load_fashion_mnist("train")
    random = np.random.default_rng(seed)
    chosen = [
        random.choice(np.flatnonzero(data.labels == label), per_class, replace=False)
        for label in range(10)
    ]
    return data.images[np.stack(chosen, axis=1).ravel()]


def drawn_images(per_class, seed):
    """The same number of the student's, by way of the file that `tinygan sample` writes."""
    generator = open_generator(FLAGS.model)
    with tempfile.TemporaryDirectory() as folder:
        seeds = np.arange(per_class) + per_class * seed
        grid = grid_of(range(generator.num_classes), seeds, seed_by_seed=True)
        images = GeneratedImages(generator, *grid)
        path = write_data_set(images, Path(folder, "drawn.npz"), "npz", generator.class_names)
        images = open_images(path)
        return images.read(0, images.count)


def noise(per_class, seed):
    """The same number of uniform noise."""
    shape = 10 * per_class, 32, 32, 3
    return np.random.default_rng(seed).integers(0, 256, shape, dtype="uint8")


CALIBRATIONS = {
    "real images": real_images,
    "drawn images": drawn_images,
    "noise": noise,
}


def as_litert(calibration_images=None) -> bytes:
    """The classifier as a LiteRT model: float32, or int8 calibrated on uint8 images."""
    converter = tf.lite.TFLiteConverter.from_saved_model(FLAGS.classifier)
    if calibration_images is not None:
        images = to_float(calibration_images)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ({"images": image[None]} for image in images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UserWarning
        )  # of TensorFlow's own interpreter, which will move
        return converter.convert()


def predictions(model, images):
    """Class numbers int `[N]` of uint8 images."""
    classify = Interpreter(model_content=model).get_signature_runner("serving_default")
    parts = [
        classify(images=to_float(images[start : start + BATCH]))["logits"].argmax(axis=-1)
        for start in range(0, len(images), BATCH)
    ]
    return np.concatenate(parts)


def main(_):
    test = load_fashion_mnist("test")
    images, labels = test.images[: FLAGS.test_images], test.labels[: FLAGS.test_images]
    model = as_litert()
    expected = predictions(model, images)
    results = {
        "float32": {
            "bytes": len(model),
            "accuracy": [float((expected == labels).mean())],
            "agreement": [1.0],
        }
    }
    for name, calibration_images in CALIBRATIONS.items():
        results[name] = {"accuracy": [], "agreement": []}
        for seed in range(FLAGS.seeds):
            model = as_litert(calibration_images(FLAGS.per_class, seed))
            predicted = predictions(model, images)
            results[name]["bytes"] = len(model)
            results[name]["accuracy"].append(float((predicted == labels).mean()))
            results[name]["agreement"].append(float((predicted == expected).mean()))
            print(f"{name}, seed {seed}: {results[name]['accuracy'][-1]:.2%}", flush=True)
    table = as_table(results)
    print(f"\n{len(labels):,} test images, {10 * FLAGS.per_class} for calibration\n\n{table}")
    if FLAGS.write:
        settings = ("classifier", "model", "per_class", "seeds", "test_images")
        write("calibration", table, {name: FLAGS[name].value for name in settings} | results)


def as_table(results) -> str:
    rows = [["classifier", "test accuracy", "from seed to seed", "same class as float32", "KB"]]
    for name, result in results.items():
        accuracy = result["accuracy"]
        spread = f"{min(accuracy):.2%} to {max(accuracy):.2%}" if len(accuracy) > 1 else ""
        rows.append(
            [
                name if name == "float32" else f"int8, calibrated on {name}",
                f"{statistics.mean(accuracy):.2%}",
                spread,
                f"{statistics.mean(result['agreement']):.2%}",
                f"{result['bytes'] / 1000:.0f}",
            ]
        )
    return markdown(rows)


if __name__ == "__main__":
    app.run(main)
