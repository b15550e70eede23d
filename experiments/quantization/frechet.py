"""What each exported form of the embedded student keeps of its quality, its size and its time.

    pip install -e '.[litert,onnx,openvino]'
    python experiments/quantization/frechet.py            # a table
    python experiments/quantization/frechet.py --write    # also into README.md and frechet.json

Five minutes on two CPU cores; `--images=1000 --calls=20` ends in two.

All forms draw the same 10,000 images, of equal latents and labels, so that a difference of two Frechet
distances is not that of two samples. They are measured as `tinygan evaluate` measures the student: to real
images, with the committed feature extractor.

Times are of one image, drawn in turns by all forms, so that all meet the same machine.
"""

import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import app, flags
from results import markdown, write

from tinygan_keras.evaluation.evaluate import evaluate
from tinygan_keras.generators.opening import load_generator, load_student
from tinygan_keras.latents import sample_latents
from tinygan_keras.runtimes.formats import open_runtime
from tinygan_keras.runtimes.litert import export_litert
from tinygan_keras.runtimes.onnx import export_onnx
from tinygan_keras.runtimes.openvino import export_openvino

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "saved_models/tinygan_v2_fashion_32", "Run folder of the student.")
flags.DEFINE_string("extractor", "saved_models/fashion_classifier", "Feature extractor.")
flags.DEFINE_string(
    "real",
    "experiments/fashion_mnist/data/fashion_mnist_10k.npz",
    "Real images to measure against.",
)
flags.DEFINE_integer("images", 10_000, "Images of each form.", lower_bound=200)
flags.DEFINE_integer("calls", 200, "Timed calls of each form.", lower_bound=1)
flags.DEFINE_bool("write", False, "Write the table into README.md, and frechet.json.")

_TURN = 20  # calls in a row of the same form

EXPORTS = {
    "LiteRT": (export_litert, ("float32", "float16", "int8")),
    "ONNX Runtime": (export_onnx, ("float32", "int8")),
    "OpenVINO": (export_openvino, ("float32", "int8")),
}


def exported_forms(model, folder):
    """Yields name, generator and export of every form."""
    student, truncation = load_student(model), load_generator(model).truncation
    for runtime, (export, precisions) in EXPORTS.items():
        for precision in precisions:
            path = Path(folder) / f"{export.__name__}_{precision}"
            exported = export(student, path, precision, truncation=truncation)
            yield f"{runtime} {precision}", open_runtime(path), exported


def frechet_distance(generator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # notes, as of few images
        result = evaluate(
            generator,
            FLAGS.extractor,
            FLAGS.real,
            num_images=FLAGS.images,
            progress=False,
            metrics=["frechet_distance"],
        )
    return result["figures"]["frechet_distance"]


def milliseconds(generators, calls):
    """The time of one image, by name: the median of a turn, and of the turns the quickest."""
    latent_dim = next(iter(generators.values())).latent_dim
    latents = sample_latents(_TURN, latent_dim, 1.0)
    medians = {name: [] for name in generators}
    for _ in range(max(calls // _TURN, 1)):
        for name, generator in generators.items():
            time.sleep(
                0.3
            )  # threads of a runtime look for work for a while, which slows down the next
            seconds = []
            for call, z in enumerate(latents):
                start = time.perf_counter()
                np.asarray(generator.draw(tf.constant(z[None]), tf.constant([call % 10])))
                seconds.append(time.perf_counter() - start)
            medians[name].append(statistics.median(seconds))
    return {name: 1000 * min(turns) for name, turns in medians.items()}


def main(_):
    forms = {"TensorFlow": load_generator(FLAGS.model)}
    results = {"TensorFlow": {}}
    with tempfile.TemporaryDirectory() as folder:
        for name, generator, exported in exported_forms(FLAGS.model, folder):
            forms[name] = generator
            figures = ("bytes", "float32_bytes", "max_difference", "mean_difference", "psnr")
            results[name] = {figure: getattr(exported, figure) for figure in figures}
            print(f"{name}: {exported.bytes:,} bytes, PSNR {exported.psnr:.1f} dB", flush=True)
        for name, taken in milliseconds(forms, FLAGS.calls).items():
            results[name]["milliseconds"] = taken
        for name, generator in forms.items():
            results[name]["frechet_distance"] = frechet_distance(generator)
            print(f"{name}: {results[name]['frechet_distance']:.4f}", flush=True)
    values = {"model": FLAGS.model, "images": FLAGS.images, "forms": results}
    table = as_table(results)
    print(f"\n{FLAGS.images:,} images of each form\n\n{table}")
    if FLAGS.write:
        write("frechet", table, values)


def as_table(forms) -> str:
    student = forms["TensorFlow"]
    rows = [
        ["form", "Frechet distance", "lost", "PSNR, dB", "KB", "of float32", "ms", "of TensorFlow"]
    ]
    for name, form in forms.items():
        lost = form["frechet_distance"] - student["frechet_distance"]
        row = [name, f"{form['frechet_distance']:.3f}", f"{lost:+.3f}"]
        row += ["", "", ""]
        if "bytes" in form:
            ratio = form["bytes"] / form["float32_bytes"]
            row[3:] = [f"{form['psnr']:.1f}", f"{form['bytes'] / 1000:.0f}", f"{ratio:.2f}"]
        taken = form["milliseconds"]
        row += [f"{taken:.2f}", f"{taken / student['milliseconds']:.2f}"]
        rows.append(row)
    return markdown(rows)


if __name__ == "__main__":
    app.run(main)
