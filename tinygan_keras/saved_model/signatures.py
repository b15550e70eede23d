"""What an exported generator can be asked: its signatures, as functions with the types of their inputs.

Every input is `[B]`, so that servers can put requests together. Hence a row that can't be generated is no
error, which would be its neighbours' too: it gets a black image, an empty name and `valid` false. A request
that is wrong as a whole (a shape, or numbers of rows that differ) is INVALID_ARGUMENT, and so is a bad label
or latent in `serving_default`, which has no `valid`.

Rejected: an exported `keras.random.SeedGenerator`, whose images can't be made again; lookup tables of names,
which are files beside the graph and name themselves alike in every model of a process.
"""

import collections

import tensorflow as tf

from ..latents import latents_in_graph

TABLE = """| signature | inputs, `[B]` or `[B, Z]` | outputs |
|---|---|---|
| `serving_default` | `z` float32, `label` int64 | `image` float32 `[B, S, S, 3]` in [-1, 1] |
| `sample` | `label` int64, `seed` int64, `truncation` float32 | `image_bytes` (PNG), `class_name`, `valid` |
| `sample_uint8` | the same | `image` uint8 `[B, S, S, 3]`, `class_name`, `valid` |
| `sample_by_name` | `class_name` string, `seed`, `truncation` | `image_bytes`, `class_name`, `valid` |"""
_PACKET = 16  # float32 numbers that a vector unit takes at once, at most


def distinct_names(class_names, num_classes: int) -> list:
    """A name per label, none empty and each once, so that every class can be asked for by its name."""
    if class_names is None:
        return [str(label) for label in range(num_classes)]
    numbered = [f"{name} ({label})".lstrip() for label, name in enumerate(class_names)]
    once = {name for name, count in collections.Counter(class_names).items() if name and count == 1}
    pairs = zip(class_names, numbered, strict=True)
    distinct = [name if name in once else other for name, other in pairs]
    return distinct if len(set(distinct)) == len(distinct) else numbered


def signatures(draw, latent_dim: int, class_names) -> dict:
    """Returns the function of every signature, with its input specification, by name."""
    num_classes = len(class_names)
    z = tf.TensorSpec((None, latent_dim), tf.float32, "z")
    label = tf.TensorSpec((None,), tf.int64, "label")
    class_name = tf.TensorSpec((None,), tf.string, "class_name")
    seed = tf.TensorSpec((None,), tf.int64, "seed")
    truncation = tf.TensorSpec((None,), tf.float32, "truncation")

    def serving_default(z, label):
        z, label = _checked({"z": z, "label": label}, latent_dim)
        in_range = tf.reduce_all((label >= 0) & (label < num_classes))
        expected = f"label is out of range. Expected whole numbers from 0 to {num_classes - 1}."
        z, label = _asserted(
            (z, label),
            (tf.reduce_all(tf.math.is_finite(z)), ["z has values that are not finite."]),
            (in_range, [expected, label]),
        )
        return {"image": draw(z, label)}

    # Once for three signatures.
    @tf.function(input_signature=[label, seed, truncation], autograph=False)
    def rows(label, seed, truncation):
        """Images uint8, and the outputs that go with them."""
        valid = (label >= 0) & (label < num_classes) & (seed >= 0)
        valid &= (truncation >= 0) & (truncation <= 1)  # which NaN isn't
        label, seed = (tf.where(valid, x, tf.zeros_like(x)) for x in (label, seed))
        truncation = tf.where(valid, truncation, tf.ones_like(truncation))
        # Whole packets a row: what is left over of all rows together would be rounded in another way.
        padded = -(-latent_dim // _PACKET) * _PACKET
        latents = latents_in_graph(seed, padded, truncation)[:, :latent_dim]
        images = to_uint8(draw(latents, label))
        images = tf.where(valid[:, None, None, None], images, tf.zeros_like(images))
        class_name = tf.where(valid, tf.gather(class_names, label), "")
        return images, {"class_name": class_name, "valid": valid}

    def sample_uint8(label, seed, truncation):
        images, others = rows(*_checked({"label": label, "seed": seed, "truncation": truncation}))
        return {"image": images, **others}

    def sample(label, seed, truncation):
        outputs = sample_uint8(label, seed, truncation)
        return {"image_bytes": _as_png(outputs.pop("image")), **outputs}

    def sample_by_name(class_name, seed, truncation):
        inputs = {"class_name": class_name, "seed": seed, "truncation": truncation}
        class_name, seed, truncation = _checked(inputs)
        is_named = tf.equal(class_name[:, None], tf.constant(class_names))
        label = tf.argmax(tf.cast(is_named, tf.int32), axis=1)
        label = tf.where(tf.reduce_any(is_named, axis=1), label, -1)
        images, others = rows(label, seed, truncation)
        return {"image_bytes": _as_png(images), **others}

    return {
        "serving_default": (serving_default, [z, label]),
        "sample": (sample, [label, seed, truncation]),
        "sample_uint8": (sample_uint8, [label, seed, truncation]),
        "sample_by_name": (sample_by_name, [class_name, seed, truncation]),
    }


def to_uint8(images):
    """Maps float images [-1, 1] to uint8 [0, 255] in the graph, as `images.to_uint8` does."""
    return tf.cast(tf.clip_by_value(tf.round((images + 1.0) * 127.5), 0.0, 255.0), tf.uint8)


def _as_png(images):
    return tf.map_fn(tf.io.encode_png, images, fn_output_signature=tf.TensorSpec((), tf.string))


def _checked(inputs: dict, latent_dim=None):
    """Passes the inputs on if each has its shape, which servers don't check, and all have as many rows."""
    shapes, conditions = [], []
    for name, tensor in inputs.items():
        # TensorFlow believes the shapes of the signature, so that this has to hide where it comes from.
        shape = tf.shape(tf.raw_ops.PlaceholderWithDefault(input=tensor, shape=None))
        shapes.append(shape)
        wanted, said = ([2, latent_dim], f"[B, {latent_dim}]") if name == "z" else ([1], "[B]")
        found = tf.concat([[tf.size(shape)], shape[1:]], 0)  # the rank, and all but the rows
        same = tf.raw_ops.Equal(x=found, y=wanted, incompatible_shape_error=False)
        conditions.append((tf.reduce_all(same), [f"{name} has another shape than {said}:", shape]))
    lengths = tf.concat([shape[:1] for shape in shapes], 0)
    alike = tf.reduce_all(tf.equal(lengths, lengths[:1]))
    said = f"{', '.join(inputs)} have different numbers of rows. Expected as many of each."
    return _asserted(inputs.values(), *conditions, (alike, [said, lengths]))


def _asserted(tensors, *conditions):
    """Passes tensors on if all conditions hold: pairs of a scalar bool and what is said where it is false."""
    asserts = []
    for condition in conditions:
        with tf.control_dependencies(asserts[-1:]):  # so that the first that fails is reported
            asserts.append(tf.debugging.Assert(*condition))
    # Asserts reach a client only if what they check flows on through them.
    with tf.control_dependencies(asserts):
        return [tf.identity(tensor) for tensor in tensors]
