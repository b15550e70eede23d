"""Names and layouts: carries values of the Keras networks over to their PyTorch twins.

Keras keeps convolutions as `[height, width, in, out]` and dense kernels as `[in, out]`, and the student views
the output of its first dense layer as `(4, 4, channels)`. PyTorch keeps `[out, in, height, width]` and
`[out, in]`, and the twin views that output as `(channels, 4, 4)`. A gradient has the layout of its variable,
so one table serves weights, gradients and statistics.
"""

import re

import numpy as np
import torch


def _same(value):
    return value


def _matrix(value):
    return value.T


def _convolution(value):
    return value.transpose(3, 2, 0, 1)


def _depthwise(value):
    return value.transpose(2, 3, 0, 1)


def _row(value):
    return value[0]


def _channels_first(value):
    """The columns of the student's first dense layer, put into the order of (channels, 4, 4)."""
    grid = value.reshape(-1, 4, 4, value.shape[-1] // 16).transpose(3, 1, 2, 0)
    return grid.reshape(value.shape[::-1])


# End of a Keras variable's path, name in the twin, change of layout. The first that fits counts.
COUNTERPARTS = (
    ("class_embedding/embeddings", "class_embedding.weight", _same),
    ("projection/embeddings", "projection.weight", _same),  # of the discriminator
    ("projection/kernel", "projection.weight", _channels_first),  # of the student
    ("projection/bias", "projection.bias", _channels_first),
    (r"block_(\d+)_norm_(\d)/affine/kernel", r"blocks.\1.norm_\2.affine.weight", _matrix),
    (r"block_(\d+)_norm_(\d)/affine/bias", r"blocks.\1.norm_\2.affine.bias", _same),
    (r"block_(\d+)_norm_(\d)/moving_mean", r"blocks.\1.norm_\2.norm.running_mean", _same),
    (r"block_(\d+)_norm_(\d)/moving_variance", r"blocks.\1.norm_\2.norm.running_var", _same),
    (r"block_(\d+)_depthwise_(\d)/kernel", r"blocks.\1.separable_\2.0.weight", _depthwise),
    (r"block_(\d+)_depthwise_(\d)/bias", r"blocks.\1.separable_\2.0.bias", _same),
    (r"block_(\d+)_pointwise_(\d)/kernel", r"blocks.\1.separable_\2.1.weight", _convolution),
    (r"block_(\d+)_pointwise_(\d)/bias", r"blocks.\1.separable_\2.1.bias", _same),
    (r"block_(\d+)_shortcut/kernel", r"blocks.\1.shortcut.weight", _convolution),
    (r"block_(\d+)_shortcut/bias", r"blocks.\1.shortcut.bias", _same),
    ("final_norm/gamma", "final_norm.weight", _same),
    ("final_norm/beta", "final_norm.bias", _same),
    ("final_norm/moving_mean", "final_norm.running_mean", _same),
    ("final_norm/moving_variance", "final_norm.running_var", _same),
    ("to_rgb/kernel", "to_rgb.weight", _convolution),
    ("head/kernel", "head.weight", _matrix),
    ("(to_rgb|head)/bias", r"\1.bias", _same),
    (r"stage_(\d+)/kernel", r"stages.\1.weight", _convolution),
    (r"stage_(\d+)/bias", r"stages.\1.bias", _same),
    (r"stage_(\d+)/u", r"stages.\1.u", _row),
    ("(head|projection)/u", r"\1.u", _row),
)


def carried(variables, values=None) -> dict:
    """Values of Keras variables by the names, and in the layouts, of the twin.

    Args:
        variables: Variables of the student or of the discriminator.
        values: One array per variable, such as its gradient; default the variables' own values.

    Returns:
        Dict of NumPy arrays by name.

    Raises:
        ValueError: the twin has nothing like one of the variables.

    Example:
        gradients = carried(student.trainable_variables, tape.gradient(loss, student.trainable_variables))
    """
    values = variables if values is None else values
    result = {}
    for variable, value in zip(variables, values, strict=True):
        name, layout = _counterpart(variable.path)
        result[name] = np.ascontiguousarray(layout(np.asarray(value)))
    return result


def load(twin, network):
    """Gives the twin the weights and statistics of a Keras network.

    Args:
        twin: `networks.Student` or `networks.Discriminator` of the same shape.
        network: `StudentGenerator` or `Discriminator` of `tinygan_keras`.

    Returns:
        The twin.

    Raises:
        ValueError: one of the two has something that the other lacks.
    """
    values = carried(network.variables)
    wanted = {name for name in twin.state_dict() if not name.endswith("num_batches_tracked")}
    if values.keys() != wanted:
        raise ValueError(
            f"Got values for {sorted(values.keys() - wanted)} that the twin lacks, and none for "
            f"{sorted(wanted - values.keys())}. Expected the same network; compare the channels."
        )
    with torch.no_grad():
        for name, value in twin.state_dict(keep_vars=True).items():
            if name in values:
                value.copy_(torch.from_numpy(values[name]))
    return twin


def _counterpart(path):
    for pattern, name, layout in COUNTERPARTS:
        found = re.search(rf"(?:^|/){pattern}$", path)
        if found:
            return found.expand(name), layout
    raise ValueError(
        f"Got the variable {path}. Expected one of the student or the discriminator. "
        "Add its counterpart to COUNTERPARTS."
    )


def batch_to_torch(value, dtype=torch.float32, layout=torch.contiguous_format):
    """A NumPy array of a batch as the twin takes it: images NCHW in a layout of memory, labels int64."""
    tensor = torch.from_numpy(np.array(value))
    if tensor.ndim == 4:
        tensor = tensor.permute(0, 3, 1, 2).contiguous(memory_format=layout)
    return tensor.to(dtype) if tensor.is_floating_point() else tensor.long()
