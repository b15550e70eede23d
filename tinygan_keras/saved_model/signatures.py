"""What an exported generator can be asked: its signatures, as functions with the form of their inputs.

| signature | inputs | outputs |
|---|---|---|
| `serving_default` | `z` float32 `[B, Z]`, `label` int64 | `image` float32 `[B, S, S, 3]` in [-1, 1] |
| `sample` | `label`, `seed` int64, `truncation` float32 | `image_bytes` (PNG), `class_name`, `valid` |
| `sample_uint8` | the same | `image` uint8 `[B, S, S, 3]`, `class_name`, `valid` |
| `sample_by_name` | `class_name` string, `seed`, `truncation` | `image_bytes`, `class_name`, `valid` |

Every input is `[B]`, seed and truncation too, or servers could neither put requests together nor take them
row by row. The latents of a row are `truncation * truncated_normal(seed)`, a function of nothing but that
row. A row that can't be drawn is no error, which would be its neighbours' too once a server has put requests
together: it gets a black image, an empty name and `valid` false. A request that is wrong as a whole is
INVALID_ARGUMENT with our words, and so is, in `serving_default`, a bad label or latent, as there is nothing
to say it with.

Rejected: an exported `keras.random.SeedGenerator`, whose images can't be drawn again.
"""

import collections

import tensorflow as tf

from ..latents import truncated_normal


def distinct_names(class_names, num_classes: int) -> list:
    """Returns a name per label, none empty and each once, or nobody could ask for a class by its name.

    Args:
        class_names: Of the classes, or None for their labels. Names of several classes, and empty ones, get
            their label added.
        num_classes: Number of classes.

    Example:
        >>> distinct_names(["crane", "dog", "crane"], 3)
        ['crane (0)', 'dog', 'crane (2)']
    """
    if class_names is None:
        return [str(label) for label in range(num_classes)]
    names = [str(name) for name in class_names]
    count = collections.Counter(names)
    numbered = [f"{name} ({label})".lstrip() for label, name in enumerate(names)]
    distinct = [
        name if name and count[name] == 1 else other
        for name, other in zip(names, numbered, strict=True)
    ]
    return distinct if len(set(distinct)) == len(distinct) else numbered


class ClassNames(tf.Module):
    """Lookup tables between class numbers and names, from a file that becomes an asset.

    Args:
        file: A name per line, each once.
    """

    def __init__(self, file):
        super().__init__()
        number, line = tf.lookup.TextFileIndex.LINE_NUMBER, tf.lookup.TextFileIndex.WHOLE_LINE

        def table(key_type, key, value_type, value, default):
            lines = tf.lookup.TextFileInitializer(str(file), key_type, key, value_type, value)
            return tf.lookup.StaticHashTable(lines, default)

        self.by_label = table(tf.int64, number, tf.string, line, "")
        self.by_name = table(tf.string, line, tf.int64, number, -1)


def signatures(draw, generator, names: ClassNames) -> dict:
    """Returns the function of every signature, with its input specification, by name.

    Args:
        draw: TensorFlow function of latents float32 `[B, Z]` and labels int64 `[B]` in range to images
            float32 `[B, S, S, 3]` in [-1, 1].
        generator: Its `latent_dim` and `num_classes` are read.
        names: Of the classes.
    """
    latent_dim, num_classes = generator.latent_dim, generator.num_classes
    z = tf.TensorSpec((None, latent_dim), tf.float32, "z")
    label = tf.TensorSpec((None,), tf.int64, "label")
    class_name = tf.TensorSpec((None,), tf.string, "class_name")
    seed = tf.TensorSpec((None,), tf.int64, "seed")
    truncation = tf.TensorSpec((None,), tf.float32, "truncation")

    def serving_default(z, label):
        finite = tf.reduce_all(tf.math.is_finite(z))
        in_range = tf.reduce_all((label >= 0) & (label < num_classes))
        z, label = _checked(
            {"z": z, "label": label},
            (finite, ["z has values that are not finite. Expected numbers."]),
            (
                in_range,
                [
                    f"label is out of range. Expected whole numbers from 0 to {num_classes - 1}.",
                    label,
                ],
            ),
        )
        return {"image": draw(z, label)}

    @tf.function(
        input_signature=[label, seed, truncation], autograph=False
    )  # once for three signatures
    def rows(label, seed, truncation):
        """Images uint8, and the outputs that go with them."""
        valid = (label >= 0) & (label < num_classes) & (seed >= 0)
        valid &= (truncation > 0) & (truncation <= 1)  # which NaN isn't
        label, seed = (tf.where(valid, x, tf.zeros_like(x)) for x in (label, seed))
        truncation = tf.where(valid, truncation, tf.ones_like(truncation))
        images = to_uint8(draw(_latents(seed, truncation, latent_dim), label))
        images = tf.where(valid[:, None, None, None], images, tf.zeros_like(images))
        class_name = tf.where(valid, names.by_label.lookup(label), tf.constant(""))
        return images, {"class_name": class_name, "valid": valid}

    def sample_uint8(label, seed, truncation):
        images, others = rows(*_checked({"label": label, "seed": seed, "truncation": truncation}))
        return {"image": images, **others}

    def sample(label, seed, truncation):
        images, others = rows(*_checked({"label": label, "seed": seed, "truncation": truncation}))
        return {"image_bytes": _as_png(images), **others}

    def sample_by_name(class_name, seed, truncation):
        class_name, seed, truncation = _checked(
            {"class_name": class_name, "seed": seed, "truncation": truncation}
        )
        images, others = rows(names.by_name.lookup(class_name), seed, truncation)
        return {"image_bytes": _as_png(images), **others}

    return {
        "serving_default": (serving_default, [z, label]),
        "sample": (sample, [label, seed, truncation]),
        "sample_uint8": (sample_uint8, [label, seed, truncation]),
        "sample_by_name": (sample_by_name, [class_name, seed, truncation]),
    }


def to_uint8(images):
    """Maps float images [-1, 1] to uint8 [0, 255], as `data.images.to_uint8` does, in the graph."""
    return tf.cast(tf.clip_by_value(tf.round((images + 1.0) * 127.5), 0.0, 255.0), tf.uint8)


def _latents(seed, truncation, latent_dim):
    """`[B, latent_dim]`, row by row: drawn at once they would depend on their places in the batch."""

    def row(arguments):
        seed, truncation = arguments
        return truncated_normal((latent_dim,), tf.stack([seed, 0]), truncation)

    spec = tf.TensorSpec((latent_dim,), tf.float32)
    return tf.map_fn(row, (seed, truncation), fn_output_signature=spec)


def _as_png(images):
    return tf.map_fn(tf.io.encode_png, images, fn_output_signature=tf.TensorSpec((), tf.string))


def _checked(inputs: dict, *conditions):
    """Passes the inputs on if they have as many rows each and every condition holds.

    Args:
        inputs: Tensors by name.
        *conditions: Pairs: a scalar bool, and what is said where it is false.
    """
    lengths = [tf.shape(tensor)[0] for tensor in inputs.values()]
    alike = tf.reduce_all(tf.equal(lengths, lengths[0]))
    said = [
        f"{', '.join(inputs)} have different numbers of rows. Expected as many of each.",
        lengths,
    ]
    asserts = [tf.debugging.Assert(*condition) for condition in ((alike, said), *conditions)]
    # Asserts reach a client only if what they check flows on through them.
    with tf.control_dependencies(asserts):
        return [tf.identity(tensor) for tensor in inputs.values()]
