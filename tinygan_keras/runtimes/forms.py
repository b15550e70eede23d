"""What an exported form is called, which precisions it has, and which optional packages it needs.

Scope: names, without TensorFlow, for the command line's help and errors.
"""

import importlib
from typing import NamedTuple

from ..errors import InputError, MissingPackageError

PRECISIONS = ("float32", "float16", "int8")


class Form(NamedTuple):
    """A form of a student for a runtime.

    Attributes:
        name: As in --format and as the extra is called.
        file: Name of the model's file in the exported folder.
        precisions: Those of `PRECISIONS` that it has.
        batch: Default batch size; None for any, decided when it runs.
    """

    name: str
    file: str
    precisions: tuple
    batch: int | None


LITERT = Form("litert", "model.tflite", PRECISIONS, 1)
ONNX = Form("onnx", "model.onnx", ("float32", "int8"), None)
OPENVINO = Form("openvino", "model.xml", ("float32", "int8"), None)
FORMS = {form.name: form for form in (LITERT, ONNX, OPENVINO)}


def check_form(form: Form, precision, batch_size):
    """Raises ValueError for a precision that the form doesn't have, or a batch size that none has."""
    if precision not in form.precisions:
        raise InputError(
            f"Got precision {precision!r} for {form.name}. Expected one of {', '.join(form.precisions)}. "
            f"All of them: {'; '.join(f'{f.name} {list(f.precisions)}' for f in FORMS.values())}."
        )
    whole = isinstance(batch_size, int) and not isinstance(batch_size, bool) and batch_size >= 1
    if not whole and (batch_size is not None or form.batch):
        usual = f"the usual {form.batch}" if form.batch else "any batch"
        raise InputError(
            f"Got batch_size={batch_size!r} for {form.name}. Expected a whole number from 1. Leave it out "
            f"for {usual}."
        )


def needed(module: str, form: Form):
    """Imports an optional module.

    Raises:
        ImportError: it isn't there; the message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(
            f"{module} can't be imported: {error}. Expected the packages of an optional part: pip install "
            f'"tinygan-keras[{form.name}]".'
        ) from error
