"""Reduces the signature of a loaded module to the graph that its output is computed from.

Without control edges and assignments it is a function of its inputs and of variables that nobody writes: it
compiles with XLA, and each replica of a strategy can read its own copy of the variables. A TF1 Hub module is
one flat graph; in a TF2 SavedModel the output is a call of a library function, which comes along.

Rejected: variables frozen into constants (400 MB in every graph, and a GraphDef ends at 2 GB); mirrored
variables (they can't be made in the middle of a trace, where the strategy first shows).
"""

import re
from concurrent.futures import ThreadPoolExecutor

import tensorflow as tf

# Prefixes of operations whose result isn't a function of their inputs, or that XLA has no kernel for:
# writes, stateful randomness, Python, variables made in place, and the branches and loops of TF1.
_OBSTACLE = re.compile(
    r"Assign|Resource(Apply|Scatter)|Random|Multinomial"
    r"|Stateful(Random|Uniform|StandardNormal|TruncatedNormal)|(Eager)?PyFunc"
    r"|Placeholder|(Temporary)?Variable|VarHandleOp"
    r"|(Ref)?(Switch|Merge|Enter)|Exit|NextIteration|LoopCond"
)


class OutputGraph:
    """The data-flow graph of the output `default`, to be imported into the graph being traced.

    `variables` are those that the output depends on, `obstacles` the names of what makes it impure.
    """

    def __init__(self, signature):
        graph_def = _without_control(signature.graph.as_graph_def())
        result = signature.outputs[sorted(signature.structured_outputs).index("default")]
        self._output = result.name
        kept = _data_flow(graph_def, result.op.name)
        placeholders = [tensor.op.name for tensor in signature.inputs]
        names = signature.function_type.parameters
        self._inputs = dict(zip(names, placeholders[: len(names)], strict=True))

        fed = zip(placeholders[len(names) :], signature.captured_inputs, strict=True)
        captures = {name: tensor for name, tensor in fed if name in kept}
        by_handle = {id(variable.handle): variable for variable in signature.variables}
        self._variable_nodes = [name for name in captures if id(captures[name]) in by_handle]
        self.variables = [by_handle[id(captures.pop(name))] for name in self._variable_nodes]
        self._constants = captures
        self._copies = {}

        kept.difference_update(placeholders)
        nodes = [node for node in graph_def.node if node.name in kept]
        functions = _called_functions(nodes, graph_def.library)
        # TensorFlow forgets the library functions of a module that nobody holds any more.
        self._owner = signature if functions else None
        self._graph_def = tf.compat.v1.GraphDef(node=nodes, versions=graph_def.versions)
        self._graph_def.library.function.extend(functions)
        self._referenced = {_node_of(edge) for node in nodes for edge in node.input}

        nodes += [node for function in functions for node in function.node_def]
        self.obstacles = sorted({node.op for node in nodes if _OBSTACLE.match(node.op)})
        if any(tensor.dtype in (tf.resource, tf.variant) for tensor in captures.values()):
            self.obstacles.append("captured resource that is no variable")

    def __call__(self, **inputs):
        """Adds the graph to the one being traced and returns the output tensor."""
        feeds = {self._inputs[name]: tensor for name, tensor in inputs.items()} | self._constants
        for name, variable in zip(self._variable_nodes, self._local_variables(), strict=True):
            feeds[name] = variable.handle
            # Tools that freeze or count a traced function ask its graph for the variables.
            tf.compat.v1.get_default_graph().watch_variable(variable)
        # Converting a handle here makes it an input of the traced function, not a constant in it.
        feeds = {
            name: tf.convert_to_tensor(tensor)
            for name, tensor in feeds.items()
            if name in self._referenced
        }
        (result,) = tf.graph_util.import_graph_def(
            self._graph_def, input_map=feeds, return_elements=[self._output], name="teacher"
        )
        return result

    def _local_variables(self):
        """The variables, or under a strategy with several replicas their copies on this device."""
        replica = tf.distribute.get_replica_context()
        if replica is None or replica.num_replicas_in_sync == 1:
            return self.variables
        # Not replica.devices: with several workers it looks up a local list by a global number.
        devices = replica.strategy.extended.worker_devices
        number = int(tf.get_static_value(replica.replica_id_in_sync_group))
        device = devices[number % len(devices)]
        if self.variables and device == self.variables[0].device:
            return self.variables
        if device not in self._copies:
            self._copies[device] = outside(_copy_to, device, self.variables)
        return self._copies[device]


def outside(function, *args):
    """Calls `function` eagerly, outside every trace, strategy scope and device scope of the caller."""
    # All of these are kept per thread. `tf.init_scope` isn't enough: it keeps the strategy and the variable
    # creators of the function being traced.
    with ThreadPoolExecutor(max_workers=1) as executor:
        return executor.submit(function, *args).result()


def _copy_to(device, variables):
    with tf.device(device):
        return [tf.Variable(v.read_value(), trainable=False, dtype=v.dtype) for v in variables]


def _without_control(graph_def):
    """Leaves out control edges, devices and colocation of a GraphDef, which it changes and returns."""
    for node in graph_def.node:
        edges = [edge for edge in node.input if not edge.startswith("^")]
        del node.input[:]
        node.input.extend(edges)
        node.device = ""
        node.attr.pop("_class", None)
    return graph_def


def _data_flow(graph_def, output):
    """Names of the nodes that `output` depends on."""
    nodes = {node.name: node for node in graph_def.node}
    found, pending = set(), [output]
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += map(_node_of, nodes[name].input)
    return found


def _node_of(edge):
    return edge.split(":")[0]


def _called_functions(nodes, library):
    """The library functions that the nodes call, directly or through each other."""
    functions = {function.signature.name: function for function in library.function}
    found, pending = {}, list(nodes)
    while pending:
        for value in pending.pop().attr.values():
            for called in (value.func, *value.list.func):
                if called.name in functions and called.name not in found:
                    found[called.name] = functions[called.name]
                    pending.extend(functions[called.name].node_def)
    return list(found.values())
