"""Where the time of a step goes, how many multiply-adds it has, and how many bytes it moves.

Scope: our step taken apart along its own seams, each part a `tf.function` timed alone on one batch. A part
returns what the next one needs, so nothing is optimised away. What one step of five does counts for a fifth.
"""

import collections
import tempfile
from pathlib import Path

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from experiments.benchmarks.step_sides import quickest
from tinygan_keras.generators import cost

REPEATS = 8
_KINDS = (  # of operations, by what their names hold; the first that fits
    ("depthwise convolutions", "Depthwise"),
    ("convolutions of the discriminator", "Conv2D"),
    ("matrix products, 1x1 convolutions among them", "MatMul"),
    ("batch normalisation", "BatchNorm"),
    ("casts", "Cast"),
    ("resizes", "Resize"),
    ("ReLUs", "Relu"),
    ("the rest: element by element, sums, optimisers", ""),
)
_MOVES_NOTHING = {  # views, and what is computed once
    *("Const", "Placeholder", "ReadVariableOp", "Identity", "IdentityN", "StopGradient", "NoOp"),
    *("Reshape", "ExpandDims", "Squeeze", "Shape", "ShapeN", "BroadcastGradientArgs"),
    *(
        "AssignVariableOp",
        "AssignAddVariableOp",
        "AssignSubVariableOp",
    ),  # of what others have written
}


def seconds(model, batch, interval) -> dict:
    """Seconds per step of each part, the quickest of several calls.

    Args:
        model: A compiled `TinyGAN`.
        batch: One batch, complete.
        interval: Steps of an adversarial cycle.
    """
    student, discriminator, objectives = model.student, model.discriminator, model.objectives
    pairs = ((batch["latent"], batch["label"]), (batch["fresh_latent"], batch["image_label"]))
    images, fresh = (student(pair, training=True) for pair in pairs)

    def draw():
        return [student(pair, training=True) for pair in pairs]

    def draw_and_differentiate():
        with tf.GradientTape() as tape:
            drawn = student(pairs[0], training=True)
        return tape.gradient(drawn, student.trainable_variables, output_gradients=batch["image"])

    def draw_once():
        return student(pairs[0], training=True)

    def discriminator_gradients():
        with tf.GradientTape() as tape:
            terms = objectives.discriminator_terms(
                discriminator, batch, images, fresh, training=True
            )
        return tape.gradient(terms["d_loss"], discriminator.trainable_variables)

    def objective():
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            terms = objectives.student_terms(discriminator, batch, images, 0.2, True)
        return tape.gradient(terms["g_loss"], images)

    def fresh_objective():
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(fresh)
            terms = objectives.fresh_terms(discriminator, batch, fresh)
        return tape.gradient(terms["g_loss"], fresh)

    gradients = [
        [tf.random.normal(v.shape, stddev=1e-3) for v in network.trainable_variables]
        for network in (student, discriminator)
    ]

    def update():
        model.g_optimizer.apply(gradients[0], student.trainable_variables)
        model.d_optimizer.apply(gradients[1], discriminator.trainable_variables)

    timed = {
        function.__name__: quickest(tf.function(function, autograph=False), REPEATS)
        for function in (
            draw,
            draw_once,
            draw_and_differentiate,
            discriminator_gradients,
            objective,
            fresh_objective,
            update,
        )
    }
    backward = timed["draw_and_differentiate"] - timed["draw_once"]
    return {
        "S forward, S(z, y) and S(z', y)": timed["draw"],
        "S backward": backward * (1 + 1 / interval),
        "D update: forward and backward of 4 batches": timed["discriminator_gradients"],
        "D for the student's update: 2 batches, gradient of one": timed["objective"]
        + timed["fresh_objective"] / interval,
        "both optimisers": timed["update"],
    }


def multiply_adds(model, batch_size, interval) -> float:
    """Multiply-adds of a step, averaged over a cycle: those of convolutions and matrix products.

    A gradient costs the forward pass once for what comes in and once for the weights; the first
    layer of the discriminator's update needs nothing for what comes in.
    """
    student = cost.multiply_adds(
        model.student,
        (tf.TensorSpec((1, model.student.latent_dim)), tf.TensorSpec((1,), tf.int32)),
    )
    size = model.student.image_size
    image, label = tf.TensorSpec((1, size, size, 3)), tf.TensorSpec((1,), tf.int32)
    discriminator = cost.multiply_adds(model.discriminator, (image, label))
    (first,) = (o for o in model.discriminator.layers if o.name == "stage_0")
    first = first.kernel.shape.num_elements() * (size // 2) ** 2
    again = 1 / interval
    student_passes = 2 + 2 * (1 + again)  # both images; two gradients of one, now and then of both
    discriminator_passes = 4 * 3 + 2 + 1 + 2 * again
    work = student * student_passes + discriminator * discriminator_passes - 4 * first
    return float(batch_size * work)


def traffic(model, batch, interval) -> float:
    """Bytes that the operations of a step read and write, averaged over a cycle.

    Each reads its inputs and writes its outputs once. TensorFlow fuses some, and a cache serves others: the
    memory has less to do.
    """
    each = {}
    for adversarial in (True, False):

        def step(adversarial=adversarial):
            return model.train_step(dict(batch), adversarial)

        graph = tf.function(step, autograph=False).get_concrete_function().graph
        each[adversarial] = sum(map(_bytes, graph.get_operations()))
    return (each[True] + (interval - 1) * each[False]) / interval


def _bytes(operation) -> int:
    if operation.type in _MOVES_NOTHING:
        return 0
    tensors = [*operation.inputs, *operation.outputs]
    known = (t for t in tensors if t.shape.is_fully_defined() and t.dtype != tf.resource)
    return sum(t.shape.num_elements() * t.dtype.size for t in known)


def shares_of_operations(take_steps, count) -> dict:
    """Each kind of operation's share of the time that all take together, in so many steps."""
    options = tf.profiler.experimental.ProfilerOptions(host_tracer_level=3)
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder, options):
            take_steps(count)
        (path,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    durations = collections.Counter()
    for plane in space.planes:
        for event in (event for line in plane.lines for event in line.events):
            name, _, kind = plane.event_metadata[event.metadata_id].name.partition(":")
            if name and kind.isidentifier():  # else it is one of the runtime, around operations
                label = next(label for label, part in _KINDS if part in kind)
                durations[label] += event.duration_ps
    return {label: durations[label] / durations.total() for label, _ in _KINDS}
