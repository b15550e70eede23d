"""Writes a module of biggan-deep-128's size and signature, with random weights.

    python experiments/imagenet_128/make_stand_in.py                    # 128 px, 400 MB, runs/stand_in_128
    python experiments/imagenet_128/make_stand_in.py --image_size=64
    python experiments/imagenet_128/make_stand_in.py --image_size=32 --num_classes=10

A minute on two CPU cores. For machines that can't fetch the real module: configs, caches and benchmarks
run against it step by step. Its images are patterns without meaning that differ by class and latent, so a
student of it proves that things run and how fast, never how well. The network is `biggan_deep.py`.

Like DeepMind's it is a TF1 Hub module: signature `default`, z, one-hot y and truncation to images; variables
have the names of the original, and lie there twice, raw and averaged. Rejected: the trap of the original,
whose first call after a new truncation is wrong. It is a matter of loading, and the tests of `HubTeacher`
have small modules for it.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
import tensorflow as tf
from biggan_deep import STATISTICS_ROWS, WIDTHS, Generator, spectral_norm, whiten
from tensorflow.core.protobuf import saved_model_pb2

tf1 = tf.compat.v1

AVERAGED = "ema_0.9999"


def write_stand_in(folder, image_size=128, num_classes=1000, channels=None, latent_dim=128, seed=0):
    """Writes the module into a new folder.

    Args:
        folder: Where to; it must not exist.
        image_size: 32, 64 or 128.
        num_classes: Number of classes.
        channels: Width of the narrowest feature map; None: that of the published design.
        latent_dim: Length of z.
        seed: Seed of the weights.

    Returns:
        The folder as a `Path`; `HubTeacher(folder)` loads it.

    Raises:
        FileExistsError: the folder exists.
        ValueError: there is no design for that size.

    Example:
        write_stand_in("runs/stand_in_128")
    """
    folder = Path(folder)
    if folder.exists():
        raise FileExistsError(f"{folder} exists. Expected a new folder. Remove it or name another.")
    if image_size not in WIDTHS:
        raise ValueError(f"Got image_size={image_size}. Expected one of {sorted(WIDTHS)}.")
    generator = Generator(image_size, num_classes, channels, latent_dim)
    generator.initialize(seed)
    generator.measure_statistics()
    aside = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(aside, ignore_errors=True)
    _write_hub_module(generator, aside)
    return aside.rename(folder)


def _write_hub_module(generator, folder):
    """The TF1 Hub format: a meta graph with one signature, a checkpoint beside it, and a marker."""
    (folder / "variables").mkdir(parents=True)
    values = {}  # variable to array; fed, because constants of 400 MB don't fit into a graph

    def variable(name, value, trainable=False):
        value = np.asarray(value, "float32")
        made = tf1.get_variable(
            name, value.shape, initializer=tf1.zeros_initializer(), trainable=trainable
        )
        values[made] = value
        return made

    tensors = {}

    def weight(name):
        if name not in tensors:
            value = generator.weights[name]
            # Nothing reads the raw copy. It is zero, so that whoever does read it will notice.
            variable(name, np.zeros_like(value), trainable=True)
            tensor = variable(f"{name}/{AVERAGED}", value)
            vector = f"{name.removesuffix('/w')}/u0"
            if vector in generator.power_vectors:
                tensor = spectral_norm(tensor, variable(vector, generator.power_vectors[vector]))
            tensors[name] = tf.identity(tensor)
        return tensors[name]

    with tf.Graph().as_default() as graph, tf1.variable_scope("", use_resource=True):
        z = tf1.placeholder(tf.float32, [None, generator.latent_dim], "z")
        y = tf1.placeholder(tf.float32, [None, generator.num_classes], "y")
        truncation = tf1.placeholder(tf.float32, [], "truncation")
        position = truncation * (STATISTICS_ROWS - 1)
        # Two neighbouring rows share the weight.
        shares = tf.maximum(0.0, 1.0 - tf.abs(tf.range(float(STATISTICS_ROWS)) - position))

        def normalize(features, norm):
            statistics = (
                tf.linalg.matvec(variable(f"{norm}/{part}_table", table), shares, transpose_a=True)
                for part, table in zip(
                    ("mean", "variance"), generator.statistics[norm], strict=True
                )
            )
            return whiten(features, *statistics)

        images = generator.images(z, y, weight, normalize)
        meta_graph = tf1.train.export_meta_graph(strip_default_attrs=True)
        meta_graph.signature_def["default"].CopyFrom(
            tf1.saved_model.signature_def_utils.predict_signature_def(
                {"z": z, "y": y, "truncation": truncation}, {"default": images}
            )
        )
        saver = tf1.train.Saver(sharded=True)  # made after the export: a hub module has none
        with tf1.Session(graph=graph) as session:
            feeds = {made.initializer.inputs[1]: value for made, value in values.items()}
            session.run(
                [made.initializer for made in values], feeds
            )  # one call: each costs a second
            prefix = str(folder / "variables" / "variables")
            saver.save(session, prefix, write_meta_graph=False, write_state=False)
    saved_model = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    saved_model.meta_graphs.append(meta_graph)
    (folder / "saved_model.pb").write_bytes(saved_model.SerializeToString(deterministic=True))
    (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")  # ModuleDef{format: FORMAT_V3}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", help="Folder to write; runs/stand_in_<image_size> if left out.")
    parser.add_argument("--image_size", type=int, default=128, choices=sorted(WIDTHS))
    parser.add_argument("--num_classes", type=int, default=1000)
    parser.add_argument("--channels", type=int, help="Width of the narrowest feature map.")
    parser.add_argument("--seed", type=int, default=0)
    arguments = vars(parser.parse_args())
    folder = arguments.pop("output") or f"runs/stand_in_{arguments['image_size']}"
    print(f"written: {write_stand_in(folder, **arguments)}")


if __name__ == "__main__":
    main()
