"""Reads generators that PyTorch programs trained, and writes them as this package's own.

A file is recognised by its content, not by its name; `PROGRAMS` has a row per program. It is read with
`weights_only=True`, so that a pickle that wants to run code is refused. Kernels with spectral normalisation
are divided by the singular value that their program divides by, once, so that images equal the original's to
rounding.

Rejected: our own reader of PyTorch's pickles, which would spare the package torch; reading pickles safely is
what that package is kept for.
"""

import itertools
import re
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..classes.imagenet import imagenet_names
from ..classes.selection import is_imagenet
from ..embedded import find
from ..errors import (
    ExistingFileError,
    InputError,
    MissingFileError,
    MissingPackageError,
)
from ..files import (
    check_room,
    file_errors,
    is_url,
    new_folder,
    read_json,
    user_path,
    write_json,
    write_text,
)
from ..networks.discriminator import Discriminator
from ..networks.student import StudentGenerator
from .biggan import BigGANGenerator
from .biggan_deep import STATISTICS_ROWS, WIDTHS, BigGANDeep, write_hub_module
from .own_teacher import save_teacher

ANIMALS_ONLY = "Of ImageNet's 1000 classes only the ids 0 to 397, the animals, were trained."

_OTHER_NETWORKS = {  # a part of a tensor's name, and whose network it looks like
    "synthesis.": "a StyleGAN",
    "conv2d3.": "a big_resnet_deep of PyTorch-StudioGAN",
    "conv4.": "a BigGAN-deep of BigGAN-PyTorch",
    "linear1.": "a discriminator",
    "embed.": "a discriminator",
    "encoder.": "an autoencoder or a transformer",
    "fc.": "a classifier",
}
_NO_WEIGHT = re.compile(r"\.(num_batches_tracked|u\d+|sv\d+|weight_[uv])$")
_ATTENTION = {"theta": "query", "phi": "key", "g": "value", "o": "output_projection"}
_STUDIO_NAMES = (  # parts of PyTorch-StudioGAN's names, and BigGAN-PyTorch's for the same
    ("linear0.", "linear."),
    ("conv2d5.", "output_layer.2."),
    ("bn4.weight", "output_layer.0.gain"),
    ("bn4.running_", "output_layer.0.stored_"),
    ("bn4.", "output_layer.0."),
    (".bn.running_", ".stored_"),
    ("conv2d0.", "conv_sc."),
    ("conv2d", "conv"),
    ("conv1x1_attn.", "o."),
    ("conv1x1_", ""),
    (".sigma", ".gamma"),
)
_DEEP_NAMES = (  # patterns of DeepMind's names, and those of pytorch-pretrained-biggan for the same
    ("^linear/", "embeddings/"),
    ("^Generator/GenZ/G_linear", "generator.gen_z"),
    ("^Generator/BatchNorm/scale", "generator.bn.weight"),
    ("^Generator/BatchNorm/offset", "generator.bn.bias"),
    ("^Generator/BatchNorm", "generator.bn"),
    (r"/(theta|phi|g|o_conv)/", r"/snconv1x1_\1/"),
    (r"/conv(\d)", r"/conv_\1"),
    (r"/BatchNorm_(\d)", r"/bn_\1"),
    ("/BatchNorm", "/bn_0"),
    ("/w$", "/weight"),
    ("/b$", "/bias"),
    ("^G", "g"),
    ("/", "."),
)


def import_generator(checkpoint, out, discriminator=False, overwrite=False) -> Path:
    """Converts a PyTorch checkpoint to a folder that every command takes as `--model` or `--teacher`.

    | program | checkpoint | becomes |
    |---|---|---|
    | the authors' TinyGAN | `model_30.tar` | a student, as a run leaves it |
    | pytorch-pretrained-biggan, 128, 256, 512 px | `pytorch_model.bin` | a TensorFlow Hub module |
    | BigGAN-PyTorch, not deep | `G_ema.pth` | a teacher |
    | PyTorch-StudioGAN, big_resnet | `model=G_ema-....pth` | a teacher |

    Args:
        checkpoint: A file that `torch.save` wrote, or a folder with exactly one.
        out: Folder to write.
        discriminator: Of the authors' TinyGAN, keep the discriminator too, as `discriminator.keras`.
            `keras.saving.load_model` reads it, and `TinyGAN(student, discriminator)` trains on.
        overwrite: Replace `out` if it holds what was imported before.

    Returns:
        The folder. `open_generator(folder)` opens it, and `HubTeacher(folder)` if it is a teacher. Its
        `config.json` has the truncation of the images, its `model_card.md` where it comes from.

    Raises:
        MissingFileError: there is no such file.
        MissingPackageError: PyTorch, the extra `torch`, is not installed.
        ExistingFileError: `out` exists.
        UnusableFileError: the disk can't hold the result.
        InputError: it is no checkpoint, is cut off, wants to run code, or is of another architecture.

    Example:
        folder = import_generator("model_30.tar", "runs/authors_tinygan")
        images = open_generator(folder).generate([207, 281], seeds=0)
    """
    target = Path(user_path(out))
    config = target / "config.json"
    imported = config.is_file() and "imported_from" in read_json(config)
    if target.exists() and not (overwrite and imported):
        raise ExistingFileError(
            f"Got {target}, which exists already. Expected a new name, or with overwrite=True (--overwrite) "
            "a folder that was imported before. Choose another name, or delete it first."
        )
    _torch(checkpoint)  # before a download
    file = _find(find(checkpoint))
    if target.resolve() in file.resolve().parents:
        raise InputError(
            f"Got {file}, which lies in {target}, to be replaced. Expected another folder. Choose one."
        )
    content = read_torch(file, _expected())
    program, state = _recognise(content, file)
    state = _Tensors(_renamed(_folded(state), program.names))
    # A Hub module holds raw and averaged variables.
    check_room(target, 3 * sum(value.nbytes for value in state.values()), "the imported generator")
    try:
        generator = program.convert(state)
        state.check_all_read()
        critic = _discriminator(content) if discriminator else None
    except (LookupError, ValueError) as error:
        missing = isinstance(error, KeyError)
        found = f"it lacks {error}" if missing else str(error).splitlines()[0].removesuffix(".")
        found = f"which looks like {program.name}, but {found}"
        fix = "Give a complete checkpoint of that network"
        fix += ", or leave the discriminator out." if discriminator else "."
        raise _unusable(file, found, fix) from error
    with file_errors(out, tensorflow=True), new_folder(out, replace=overwrite) as folder:
        _write(folder, generator, critic, program, file)
    return target


def _find(path) -> Path:
    if is_url(path):
        raise _unusable(path, "an address", "Download it, or name it by hf://OWNER/NAME.")
    files = [path]
    if path.is_dir():
        suffixes = (".bin", ".pth", ".pt", ".tar")
        with file_errors(path):
            files = [file for file in path.iterdir() if file.suffix in suffixes and file.is_file()]
        if len(files) != 1:
            raise _unusable(path, f"a folder of {len(files)} checkpoints", "Name the file.")
    if not files[0].is_file():
        raise MissingFileError(
            f"Got {path}, which doesn't exist. Expected a PyTorch checkpoint. Correct the name."
        )
    return files[0]


def _unusable(file, found, fix) -> InputError:
    return InputError(f"Got {file}, {found}. Expected {_expected()}. {fix}")


def _expected() -> str:
    *names, last = (program.name for program in PROGRAMS)
    return f"a checkpoint that torch.save wrote of a generator of {', '.join(names)} or {last}"


# === Reading ===


def read_torch(file, expected):
    """What `torch.save` wrote, if it is tensors alone; `expected` is for errors."""
    with file_errors(file), open(file, "rb") as stream:
        start = stream.read(16)
    if not start.startswith((b"PK\x03\x04", b"\x80\x02")):
        found = f"no file of PyTorch's: it begins with {start!r}" if start else "an empty file"
        raise InputError(f"Got {file}, {found}. Expected {expected}. Give another file.")
    torch = _torch(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what then is an error
            # A file from a GPU says so of every tensor.
            return torch.load(file, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # a damaged pickle fails in any way
        reason = (
            str(error).rpartition("WeightsUnpickler error: ")[2].strip() or type(error).__name__
        )
        if wanted := re.search(r"GLOBAL (\S+)", reason):
            found = f"whose pickle asks for {wanted[1]} and not for tensors alone, so that it might run code"
            fix = "Where you trust it, save its tensors alone, such as the state_dict of a network."
        else:
            found = (
                f"which can't be read as tensors alone: {reason.splitlines()[0].removesuffix('.')}"
            )
            fix = "It is cut off, or another kind of file: fetch it again."
            if "Unsupported operand" in reason:
                fix = (
                    "Its pickle is of another kind: where you trust it, save it anew by torch.save."
                )
        raise InputError(f"Got {file}, {found}. Expected {expected}. {fix}") from error


def _torch(file):
    """The optional package; MissingPackageError names its extra."""
    try:
        import torch
    except ImportError as error:
        raise MissingPackageError(
            f"Got PyTorch's {file} without the package torch. Expected it for reading such files. Install "
            'it: pip install "tinygan-keras[torch]".'
        ) from error
    return torch


class _Tensors(dict):
    """Weights by name that remember which were read, so that none is left out in silence."""

    def __init__(self, state):
        super().__init__(state)
        self._read = set()

    def __getitem__(self, name):
        self._read.add(name)
        return super().__getitem__(name)

    def check_all_read(self):
        unread = sorted(n for n in self.keys() - self._read if not _NO_WEIGHT.search(n))
        if unread:
            raise ValueError(
                f"its network has {len(unread)} more tensors, such as {unread[0]!r}, that change the images"
            )


def _tensors(content) -> dict:
    """The tensors by name as NumPy arrays, in float32; names as without `DataParallel`."""
    return {
        str(name).removeprefix("module."): value.detach().float().numpy()
        for name, value in content.items()
        if hasattr(value, "float")
    }


def _recognise(content, file):
    """The program that wrote a checkpoint, and its generator's tensors by name."""
    keys = ("G_ema", "G", "state_dict", "model")
    parts = [content.get(key) for key in keys] if isinstance(content, dict) else []
    state = _tensors(next((part for part in (*parts, content) if isinstance(part, dict)), {}))
    for program in PROGRAMS:
        if state.keys() >= set(program.tensors):
            return program, state
    names = "  ".join(sorted(state))
    others = (other for part, other in _OTHER_NETWORKS.items() if part in names)
    found = f"which holds a {type(content).__name__} and no tensors by name"
    if state:
        whose = next(others, "a network that isn't known")
        found = f"whose {len(state)} tensors look like those of {whose} ({names[:80]} ...)"
    raise _unusable(file, found, "Give the generator's file.")


def _folded(state) -> dict:
    """The weights without spectral normalisation: divided by the singular value that their program takes."""
    folded = {}
    for name, value in state.items():
        layer, _, kind = name.rpartition(".")
        if kind == "weight_orig" or (kind == "weight" and f"{layer}.u0" in state):
            value = (value / _singular_value(state, layer, value)).astype("float32")
            folded[f"{layer}.weight"] = value
        elif f"{name}_orig" not in state:
            folded[name] = value
    return folded


def _singular_value(state, layer, weight) -> float:
    matrix = weight.reshape(len(weight), -1).astype("float64")
    if f"{layer}.u0" in state:  # BigGAN-PyTorch takes one more step of power iteration at each use
        v = state[f"{layer}.u0"][0] @ matrix
        return np.linalg.norm(matrix @ v) / np.linalg.norm(v)
    u, v = state[f"{layer}.weight_u"], state.get(f"{layer}.weight_v")
    if v is None:  # files of PyTorch before 1.0
        v = u @ matrix
        v = v / max(np.linalg.norm(v), 1e-4)
    return u @ matrix @ v


def _renamed(state, names) -> dict:
    for theirs, ours in names:
        state = {name.replace(theirs, ours): value for name, value in state.items()}
    return state


def _sizes(state, pattern, step=1) -> list:
    """The sizes of the tensors whose names are `pattern` with 0, `step`, 2 `step`, ..."""
    names = map(pattern.format, itertools.count(0, step))
    return [state[name].size for name in itertools.takewhile(state.__contains__, names)]


def _kernel(weight, depthwise=False):
    """A bias, or the weight of a dense layer or a convolution, in TensorFlow's order."""
    if weight.ndim < 4:
        return weight.T
    return np.ascontiguousarray(weight.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0)))


def _channels_last(state, layer):
    """Reorders the outputs of a dense layer from [C, 4, 4] to [4, 4, C]."""
    for name in (f"{layer}.weight", f"{layer}.bias"):
        features = state[name].reshape(-1, 4, 4, *state[name].shape[1:])
        state[name] = np.moveaxis(features, 0, 2).reshape(state[name].shape)


# === The authors' TinyGAN ===


def _student(state):
    first = state["blocks.0.cbn0.bn.running_mean"].size
    channels = [first, *_sizes(state, "blocks.{}.pw_conv1.bias")]
    num_classes, embedding_dim = state["embeding.weight"].shape
    _channels_last(state, "fc")
    latent_dim = state["fc.weight"].shape[1]
    student = StudentGenerator(channels, latent_dim, num_classes, embedding_dim, dtype="float32")
    final = [state[f"bn.{name}"] for name in ("weight", "bias", "running_mean", "running_var")]
    weights = {"class_embedding": [state["embeding.weight"]], "final_norm": final}
    layers = {"projection": "fc", "to_rgb": "colorize"}
    for index in range(len(channels) - 1):
        theirs, ours = f"blocks.{index}", f"block_{index}"
        layers[f"{ours}_shortcut"] = f"{theirs}.c_sc"
        for part in (0, 1):
            layers[f"{ours}_depthwise_{part}"] = f"{theirs}.dw_conv{part + 1}"
            layers[f"{ours}_pointwise_{part}"] = f"{theirs}.pw_conv{part + 1}"
            norm = f"{theirs}.cbn{part}"
            statistics = [state[f"{norm}.bn.running_{name}"] for name in ("mean", "var")]
            affine = [state[f"{norm}.embed.weight"].T, state[f"{norm}.embed.bias"]]
            weights[f"{ours}_norm_{part}"] = statistics + affine
    for ours, theirs in layers.items():
        kernel = _kernel(state[f"{theirs}.weight"], depthwise="dw_conv" in theirs)
        weights[ours] = [kernel, state[f"{theirs}.bias"]]
    return _with_weights(student, weights)


def _discriminator(content):
    if not isinstance(content.get("D"), dict):
        raise KeyError("D")
    state = _tensors(content["D"])
    channels = _sizes(state, "layers.{}.bias", step=2)
    table, u = state["embeding.weight_orig"], state["embeding.weight_v"]
    # Theirs normalises the transposed table, so its vector v is our u.
    weights = {"projection": [table, u[None]]}
    layers = {"head": "fc_src"} | {f"stage_{i}": f"layers.{2 * i}" for i in range(len(channels))}
    for ours, theirs in layers.items():
        kernel, bias, u = (
            state[f"{theirs}.{name}"] for name in ("weight_orig", "bias", "weight_u")
        )
        weights[ours] = [_kernel(kernel), bias, u[None]]
    critic = Discriminator(channels, len(table), 4 * 2 ** len(channels), dtype="float32")
    return _with_weights(critic, weights)


def _with_weights(network, weights):
    for name, arrays in weights.items():
        network.get_layer(name).set_weights(arrays)
    return network


# === BigGAN-deep of pytorch-pretrained-biggan ===


def _biggan_deep(state):
    embedding_dim, num_classes = state["embeddings.weight"].shape
    latent_dim = state["generator.gen_z.weight"].shape[1] - embedding_dim
    channels = state["generator.bn.weight"].size
    layers = {name.split(".")[2] for name in state if name.startswith("generator.layers.")}
    # Two blocks a doubling, and the attention.
    sizes = {2 * len(widths) - 1: size for size, widths in WIDTHS.items()}
    if len(layers) not in sizes:
        raise ValueError(f"it has {len(layers)} layers, not one of {sorted(sizes)}")
    generator = BigGANDeep(sizes[len(layers)], num_classes, channels, latent_dim, embedding_dim)
    attention = 2 * (generator.attention_size // 4).bit_length() - 2

    def theirs(name):
        if match := re.match(r"Generator/GBlock_?(\d*)", name):
            index = int(match[1] or 0)
            name = f"generator.layers.{index + (index >= attention)}{name[match.end() :]}"
        for ours, their in _DEEP_NAMES:
            name = re.sub(ours, their, name)
        return name.replace("generator.attention", f"generator.layers.{attention}")

    weights, statistics = {}, {}
    for name, shape in generator.shapes().items():
        value = state[theirs(name)]
        weights[name] = value.reshape(shape) if value.size == 1 else _kernel(value)
        found = [(weights[name], shape)]
        norm, part, _ = name.partition("/scale")
        if part:
            statistics[norm] = [
                state[f"{theirs(norm)}.running_{kind}"] for kind in ("means", "vars")
            ]
            found += [(table, (STATISTICS_ROWS, shape[-1])) for table in statistics[norm]]
        for array, expected in found:
            if array.shape != expected:
                raise ValueError(f"{name} comes in the shape {array.shape}, not {expected}")
    generator.weights, generator.statistics = weights, statistics
    return generator


# === BigGAN of BigGAN-PyTorch and PyTorch-StudioGAN ===


def _biggan(state, epsilon=1e-5):
    """A `BigGANGenerator` with one row of statistics, from weights with the names of BigGAN-PyTorch."""

    def number(name):
        return int(name.split(".")[1])

    if "shared.weight" not in state:
        raise ValueError("its blocks share no class embedding, as those of a BigGAN do")
    ends = ".conv1.bias", ".gamma"
    blocks, attentions = ([n.removesuffix(e) for n in state if n.endswith(e)] for e in ends)
    blocks.sort(key=number)
    widths = [state[f"{block}.conv1.bias"].size for block in blocks]
    channels = [state["blocks.0.0.bn1.stored_mean"].size, *widths]
    if len(attentions) > 1:
        raise ValueError(f"it has attention at {len(attentions)} sizes, not at one")
    # Attention is a part of the block before it, or stands by itself behind it.
    doublings = [sum(number(block) <= number(name) for block in blocks) for name in attentions]
    num_classes, embedding_dim = state["shared.weight"].shape
    piece = state["linear.weight"].shape[1]
    if state[f"{blocks[0]}.bn1.gain.weight"].shape[1] != embedding_dim + piece:
        raise ValueError(
            "its blocks don't get a piece of the latents each, as those of a BigGAN do"
        )
    _channels_last(state, "linear")
    generator = BigGANGenerator(
        channels,
        latent_dim=piece * len(channels),
        num_classes=num_classes,
        embedding_dim=embedding_dim,
        attention_size=4 * 2 ** doublings[0] if attentions else None,
        truncation_rows=1,
        dtype="float32",
    )
    generator.embedding.set_weights([state["shared.weight"]])
    layers = {"linear": generator.projection, "output_layer.2": generator.to_rgb}
    scale_and_shift = [state["output_layer.0.gain"], state["output_layer.0.bias"]]
    unconditional = np.zeros((1, 2 * channels[-1]))
    norms = {
        "output_layer.0": (generator.final_norm, unconditional, np.concatenate(scale_and_shift))
    }
    for theirs, block in zip(blocks, generator.blocks, strict=True):
        for index, name in enumerate(("conv1", "conv2")):
            layers[f"{theirs}.{name}"] = block.convolutions[index]
            norm = f"{theirs}.bn{index + 1}"
            affine = [state[f"{norm}.{part}.weight"].T for part in ("gain", "bias")]
            start = np.repeat([1.0, 0.0], affine[0].shape[1])
            norms[norm] = block.norms[index], np.concatenate(affine, axis=1), start
        layers[f"{theirs}.conv_sc"] = block.shortcut
    for theirs in attentions:
        layers |= {f"{theirs}.{n}": getattr(generator.attention, m) for n, m in _ATTENTION.items()}
        generator.attention.gamma.assign(state[f"{theirs}.gamma"].reshape(()))
    for name, layer in layers.items():
        layer.is_normalized = True
        layer.kernel.assign(_kernel(state[f"{name}.weight"]))
        if layer.use_bias:
            layer.bias.assign(state[f"{name}.bias"])
    for name, (norm, kernel, bias) in norms.items():
        mean, variance = state[f"{name}.stored_mean"], state[f"{name}.stored_var"]
        norm.set_weights([mean[None], variance[None] + (epsilon - norm.epsilon), kernel, bias])
    return generator


class Program(NamedTuple):
    """A program, tensors that its generators have and no others, its converter, and what else is its own."""

    name: str
    tensors: tuple
    convert: Callable
    truncation: float  # of its images
    names: tuple = ()  # parts of its tensors' names, and those that the converter knows
    note: str = ""  # for the card


_NORMAL = "Trained on latents of the whole normal distribution; truncation 1 cuts them off at 2 deviations."
PROGRAMS = (
    Program("the authors' TinyGAN", ("blocks.0.dw_conv1.weight",), _student, 0.5),
    Program("pytorch-pretrained-biggan", ("generator.gen_z.bias",), _biggan_deep, 0.5),
    Program(
        "BigGAN-PyTorch (not deep)",
        ("output_layer.2.bias", "blocks.0.0.conv_sc.bias"),
        _biggan,
        1.0,
        note=_NORMAL,
    ),
    Program(
        "PyTorch-StudioGAN's big_resnet",
        ("conv2d5.bias", "blocks.0.0.conv2d0.bias"),
        partial(_biggan, epsilon=1e-4),
        1.0,
        _STUDIO_NAMES,
        _NORMAL,
    ),
)


# === Writing ===


def _write(folder, generator, critic, program, file):
    config = {"truncation": program.truncation, "imported_from": f"{program.name}: {file.name}"}
    size, count = generator.image_size, generator.num_classes
    card = [
        f"# {program.name}, {size} px, {count} classes",
        f"Imported by tinygan-keras from {file.name}. The weights are under their authors' terms.",
        f"Made for latents of truncation {program.truncation:g}. {program.note}".strip(),
    ]
    if isinstance(generator, BigGANDeep):
        write_hub_module(generator, folder)
    elif isinstance(generator, BigGANGenerator):
        save_teacher(generator, folder)
    else:
        folder.mkdir()
        generator.save(folder / "student.keras")
        if critic is not None:
            critic.save(folder / "discriminator.keras")
        if is_imagenet(count):
            config["classes"] = "animals"
            card.append(ANIMALS_ONLY)
            write_text(folder / "class_names.txt", "\n".join(imagenet_names()) + "\n")
    write_json(folder / "config.json", config)
    write_text(folder / "model_card.md", "\n\n".join(card) + "\n")
