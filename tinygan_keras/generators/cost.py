"""What a generator costs: multiply-adds per image, images per second.

Multiply-adds are counted in the graph that runs, so that they mean the same for a Keras model and a TF-Hub
module. Rejected: `tf.compat.v1.profiler`, which leaves out `Einsum` and what it has no rule or shape for.
"""

import math
import time

import numpy as np
import tensorflow as tf
from tensorflow.python.grappler import tf_optimizer

from ..errors import InputError

# Attributes that keep a call from being inlined, and one that turns loops into a tangle of TF1 nodes.
_OBSTACLES = ("_XlaMustCompile", "_noinline", "_lower_using_switch_merge")


def multiply_adds(function, *specs) -> int:
    """Counts the multiply-adds of one call of a TensorFlow callable, for arguments of these `tf.TensorSpec`s.

    Counted is what depends on the arguments, and so no products of weights, as in spectral normalisation.
    """
    traced = tf.function(lambda *arguments: function(*arguments), autograph=False)
    operations = _inlined_operations(traced.get_concrete_function(*specs))
    return sum(_COUNTERS[o.type](o) for o in operations if o.type in _COUNTERS)


def _inlined_operations(concrete) -> list:
    """The operations that depend on the arguments, called functions put in place of their calls."""
    # Traced again, so that shapes follow from the arguments right into functions that were once traced for
    # any batch size. Variables stay handles: frozen into constants, a BigGAN would add 300 MB to the graph.
    inlined = _inline(concrete)
    names = [tensor.op.name for tensor in concrete.inputs]
    captured = concrete.captured_inputs
    specs = [tf.TensorSpec(t.shape, t.dtype) for t in concrete.inputs[: len(names) - len(captured)]]

    def body(*arguments):
        feeds = [tf.convert_to_tensor(tensor) for tensor in (*arguments, *captured)]
        input_map = dict(zip(names, feeds, strict=True))
        tf.graph_util.import_graph_def(inlined, input_map=input_map, name="")

    # Unlike `tf.function` it adds no control dependencies, which trips over the branches of TF1.
    graph = tf.compat.v1.wrap_function(body, specs).graph
    reached = {tensor.ref() for tensor in graph.inputs[: len(specs)]}
    operations = []
    for operation in graph.get_operations():  # in topological order
        if any(tensor.ref() in reached for tensor in operation.inputs):
            reached.update(tensor.ref() for tensor in operation.outputs)
            operations.append(operation)
    _reject_hidden_products(operations, inlined.library.function)
    return operations


def _reject_hidden_products(operations, functions):
    """Raises where a loop or branch, which can't be inlined, holds something that would be counted."""
    bodies = {function.signature.name: function.node_def for function in functions}

    def holds_products(node):
        called = [f.name for value in node.attr.values() for f in (value.func, *value.list.func)]
        inside = [part for name in called for part in bodies.get(name, ())]
        return node.op in _COUNTERS or any(map(holds_products, inside))

    for operation in operations:
        if operation.type not in _COUNTERS and holds_products(operation.node_def):
            raise InputError(
                f"{operation.name} ({operation.type}) is a loop or branch around matrix products or "
                "convolutions, so their number is not in the graph. Expected a graph without; write "
                "the loop as a batch, or count the function inside it."
            )


def _inline(concrete):
    """The function's GraphDef after one pass of Grappler that does nothing but inline calls."""
    graph_def = concrete.graph.as_graph_def()
    functions = graph_def.library.function
    for part in (*graph_def.node, *functions, *(node for f in functions for node in f.node_def)):
        for name in _OBSTACLES:
            part.attr.pop(name, None)
    meta_graph = tf.compat.v1.train.export_meta_graph(graph_def=graph_def, graph=concrete.graph)
    kept = [tensor.name for tensor in (*concrete.inputs, *concrete.outputs)]
    meta_graph.collection_def["train_op"].node_list.value.extend(kept)
    config = tf.compat.v1.ConfigProto()
    options = config.graph_options.rewrite_options
    options.min_graph_nodes = -1  # small graphs too
    options.function_optimization = options.AGGRESSIVE  # the result is read, never run
    options.optimizers.append("function")
    return tf_optimizer.OptimizeGraph(config, meta_graph)


def _shape(tensor) -> tuple:
    if not tensor.shape.is_fully_defined():
        raise InputError(
            f"{tensor.name} ({tensor.op.type}) has the shape {tensor.shape} in the traced graph. "
            "Expected a static shape; give specs with a batch size of 1 and fixed image sizes."
        )
    return tuple(tensor.shape)


def _size(tensor, axes=None) -> int:
    return math.prod(_shape(tensor)[:axes])


def _matrix_product(operation, transposed) -> int:
    inner = _shape(operation.inputs[0])[-2 if operation.get_attr(transposed) else -1]
    return _size(operation.outputs[0]) * inner


def _einsum(operation) -> int:
    equation = operation.get_attr("equation").decode()
    terms = equation.split("->")[0].split(",")
    if len(terms) != 2 or "." in equation:
        raise InputError(
            f"{operation.name} computes einsum {equation!r}. Expected two operands and no ellipsis; "
            "write it as matrix products to have it counted."
        )
    sizes = {}
    for term, tensor in zip(terms, operation.inputs, strict=True):
        sizes.update(zip(term.strip(), _shape(tensor), strict=True))
    return math.prod(sizes.values())


_COUNTERS = {
    # Kernels are [height, width, channels of one group, filters]; a transposed one has those of the output
    # third.
    "Conv2D": lambda o: _size(o.outputs[0]) * _size(o.inputs[1], 3),
    "DepthwiseConv2dNative": lambda o: _size(o.outputs[0]) * _size(o.inputs[1], 2),
    "Conv2DBackpropInput": lambda o: _size(o.inputs[2]) * _size(o.inputs[1], 3),
    "MatMul": lambda o: _matrix_product(o, "transpose_a"),
    "BatchMatMul": lambda o: _matrix_product(o, "adj_x"),
    "BatchMatMulV2": lambda o: _matrix_product(o, "adj_x"),
    "BatchMatMulV3": lambda o: _matrix_product(o, "adj_x"),
    "Einsum": _einsum,
}


def multiply_adds_of(generator) -> int:
    """Counts the multiply-adds of one image of a `Generator`."""
    latents = tf.TensorSpec((1, generator.latent_dim), tf.float32)
    return multiply_adds(generator.draw, latents, tf.TensorSpec((1,), tf.int32))


def images_per_second(generate, batch_size: int = 64, seconds: float = 2.0) -> float:
    """Batch size over the median time of a call, of at least three and in `seconds`, after two to warm up."""
    for _ in range(2):
        np.asarray(generate())
    durations = []
    while len(durations) < 3 or sum(durations) < seconds:
        start = time.perf_counter()
        np.asarray(generate())  # as an array: the clock stops when the images are there
        durations.append(time.perf_counter() - start)
    return batch_size / float(np.median(durations))
