"""Makes a 64 px teacher out of a 128 px one: the same module, with the mean of every 2x2 pixels.

    python experiments/imagenet_64/make_teacher.py                         # runs/biggan_deep_64, 200 MB
    python experiments/imagenet_64/make_teacher.py --teacher=runs/stand_in_128 --output=runs/stand_in_64

A minute. DeepMind published no BigGAN of 64 px. The result has the signature of the original, z, one-hot y
and truncation, and `HubTeacher` loads it. Its truncation is fixed: the published module rewrites its
statistics on a change, which no frozen graph can. Another truncation draws NaN, and `HubTeacher` refuses it.

Rejected: halving the images of the cache. Everything else that looks at the teacher (the picture of the
progress, the evaluation, the check of sizes) would still see 128 px.
"""

import argparse
import shutil
from pathlib import Path

import tensorflow as tf

from tinygan_keras.teachers.hub import HubTeacher


def make_halved_teacher(handle, folder, truncation=0.5):
    """Writes a SavedModel that draws the images of `handle` at half their size.

    Args:
        handle: Folder or TensorFlow Hub handle of the large teacher.
        folder: Where to; it must not exist.
        truncation: Scalar in (0, 1], the only one that the new teacher has.

    Returns:
        The folder as a `Path`.

    Raises:
        FileExistsError: the folder exists.
        ValueError: the module isn't a teacher, or can't be reduced to a pure graph.
    """
    folder = Path(folder)
    if folder.exists():
        raise FileExistsError(f"{folder} exists. Expected a new folder. Remove it or name another.")
    teacher = HubTeacher(handle, truncation, pure=True)
    shape = (None, teacher.image_size // 2, teacher.image_size // 2, 3)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, teacher.latent_dim], tf.float32, "z"),
            tf.TensorSpec([None, teacher.num_classes], tf.float32, "y"),
            tf.TensorSpec([], tf.float32, "truncation"),
        ]
    )
    def default(z, y, truncation):
        images = tf.nn.avg_pool2d(teacher.mix(z, y), 2, 2, "VALID")
        is_ours = tf.abs(truncation - teacher.truncation) < 1e-6
        return {"default": tf.ensure_shape(tf.where(is_ours, images, float("nan")), shape)}

    concrete = default.get_concrete_function()
    module = tf.Module()
    module.kept = list(concrete.variables)  # a teacher is no tf.Module, and tracks none of them
    aside = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(aside, ignore_errors=True)
    tf.saved_model.save(module, str(aside), signatures={"default": concrete})
    return aside.rename(folder)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teacher", default="https://tfhub.dev/deepmind/biggan-deep-128/1")
    parser.add_argument("--output", default="runs/biggan_deep_64", help="Folder to write.")
    parser.add_argument("--truncation", type=float, default=0.5)
    arguments = parser.parse_args()
    folder = make_halved_teacher(arguments.teacher, arguments.output, arguments.truncation)
    print(f"written: {folder}")


if __name__ == "__main__":
    main()
