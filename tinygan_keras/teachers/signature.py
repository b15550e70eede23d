"""What a module has to offer to be a teacher, checked before anything is trained.

Each refusal says what was found, what is expected and how to mend it.
"""

import tensorflow as tf

from ..errors import InputError
from .catalog import DEEPMIND

_INPUT_RANKS = {"z": 2, "y": 2, "truncation": 0}
_EXPECTED = (
    "Expected a signature `default` with float32 inputs z [None, latent_dim], y [None, num_classes] "
    "(one-hot) and truncation [], and a float32 output `default` [None, size, size, 3] in [-1, 1]."
)


def checked_signature(module, handle):
    """The module's signature `default`, its inputs and outputs checked by name, type and shape."""

    def refuse(problem):
        raise InputError(
            f"Got {problem} in {handle}. {_EXPECTED} Save the generator with such a signature; "
            "teachers/export.py shows how."
        )

    signatures = getattr(module, "signatures", {})
    if "default" not in signatures:
        refuse(f"the signatures {sorted(signatures)}")
    signature = signatures["default"]
    specs = signature.structured_input_signature[1]
    if set(specs) != set(_INPUT_RANKS):
        refuse(f"the inputs {sorted(specs)}")
    for name, rank in _INPUT_RANKS.items():
        spec = specs[name]
        fits = spec.dtype == tf.float32 and spec.shape.rank == rank
        if not fits or (rank == 2 and (spec.shape[0] is not None or spec.shape[1] is None)):
            refuse(f"the input {name} {spec.dtype.name} {spec.shape}")
    if "default" not in signature.structured_outputs:
        refuse(f"the outputs {sorted(signature.structured_outputs)}")
    return signature


def check_images(images, handle):
    """Checks what the module really draws; the signature may leave sizes open."""
    shape = images.shape
    fits = images.dtype == tf.float32 and shape.rank == 4 and shape[-1] == 3
    if not fits or shape[1] != shape[2]:
        raise InputError(f"Got images {images.dtype.name} {shape} from {handle}. {_EXPECTED}")
    lowest, highest = float(tf.reduce_min(images)), float(tf.reduce_max(images))
    if not (lowest >= -1.001 and highest <= 1.001):
        raise InputError(
            f"Got images with values from {lowest:.3g} to {highest:.3g} from {handle}. {_EXPECTED} "
            "Rescale them inside the signature, for example uint8 with x / 127.5 - 1."
        )


def check_catalog(teacher, handle, folder):
    """Checks the sizes of `teacher` if `handle` is one of DeepMind's."""
    if handle not in DEEPMIND:
        return
    names = ("latent_dim", "image_size", "num_classes")
    found, expected = (
        {name: getattr(source, name) for name in names} for source in (teacher, DEEPMIND[handle])
    )
    if found != expected:
        raise InputError(
            f"Got a module with {found} in {folder}; {handle} has {expected}. Another module's files "
            "were placed there: delete the folder and fetch it again."
        )
