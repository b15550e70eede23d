"""The way of every export: arguments checked, converted aside, compared with the student, moved into place.

Scope: what the forms share. How a form is converted is in its own module.
"""

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ExistingFileError
from ..files import plain, write_archive
from ..latents import DEFAULT_TRUNCATION
from ..saved_model.arguments import check_generator, names_as_text
from ..saved_model.model_card import parameters
from ..teachers.catalog import check_truncation
from .calibration import calibration_batches
from .edge_runtimes import load_runtime, model_files
from .forms import Form, check_form
from .parity import check_parity
from .source import write_source


class EdgeExport(NamedTuple):
    """What was exported.

    Attributes:
        path: The folder.
        bytes: Size of the model's files.
        float32_bytes: That of the same student in the same form in float32.
        max_difference, mean_difference: Of images in [-1, 1] to the student's.
        psnr: Of the images to the student's, in dB.
    """

    path: Path
    bytes: int
    float32_bytes: int
    max_difference: float
    mean_difference: float
    psnr: float


class Order(NamedTuple):
    """What a form's conversion is told; `truncation` is the scale of the latents for calibration."""

    student: Any
    precision: str
    batch_size: int | None
    truncation: float

    def write_source(self, folder):
        """Writes the graph to convert as a SavedModel; returns its path as a string."""
        quantizable_at = self.truncation if self.precision == "int8" else None
        write_source(self.student, folder, self.batch_size, quantizable_at)
        return str(folder)

    def calibration_batches(self) -> list:
        """Returns dicts of `z` and `label`."""
        return calibration_batches(self.student, self.truncation, self.batch_size)


def export_form(
    form: Form, convert: Callable, student, path, precision, batch_size, known
) -> EdgeExport:
    """Writes a student in a form.

    Args:
        form: One of `edge_forms.FORMS`.
        convert: Function of an `Order`, the folder for the model and one for scratch, that writes the model
            in float32 as `scratch / form.file`, and in another precision as `folder / form.file`.
        student, path, precision, batch_size: As in `export_litert`.
        known: Its `class_names` and `truncation`.

    Raises:
        As `export_litert`.
    """
    path = Path(path)
    check_form(form, precision, batch_size)
    check_generator(student)
    names, truncation = known["class_names"], known["truncation"]
    if names is not None:
        names = names_as_text(names, student.num_classes)
    if truncation is not None:
        truncation = check_truncation(truncation, "an exported student")
    if path.exists():
        raise ExistingFileError(
            f"{path} exists already, and an export is never replaced. Export to another folder, or remove "
            "that one first."
        )
    order = Order(student, precision, batch_size, truncation or DEFAULT_TRUNCATION)
    archive = _Archive(form, convert, order, names, truncation)
    write_archive(archive, path)
    return EdgeExport(path, **archive.figures)


@dataclasses.dataclass
class _Archive:
    """What `write_archive` writes aside; only what is as it should be gets its name."""

    form: Form
    convert: Callable
    order: Order
    names: str | None
    truncation: float | None
    figures: dict = dataclasses.field(default_factory=dict)

    def write_out(self, folder, verbose):
        folder, order = Path(folder), self.order
        folder.mkdir()
        with tempfile.TemporaryDirectory() as scratch:
            self.convert(order, folder, Path(scratch))
            float32_bytes = _size(Path(scratch), self.form)
            if order.precision == "float32":
                for file in model_files(Path(scratch), self.form):
                    shutil.copyfile(file, folder / file.name)
        if self.names is not None:
            (folder / "class_names.txt").write_text(self.names, encoding="utf-8")
        config = {
            "format": self.form.name,
            "precision": order.precision,
            "batch_size": order.batch_size,
            "latent_dim": order.student.latent_dim,
            "num_classes": order.student.num_classes,
            "image_size": order.student.image_size,
            "truncation": self.truncation,
            "parameters": parameters(order.student),
        }
        _write_config(folder, config)
        parity = check_parity(
            order.student, load_runtime(folder), order.precision, order.truncation
        )
        self.figures = {
            "bytes": _size(folder, self.form),
            "float32_bytes": float32_bytes,
            **parity._asdict(),
        }
        _write_config(folder, {**config, **self.figures})


def _write_config(folder, config):
    text = json.dumps(plain(config), indent=2) + "\n"
    (folder / "config.json").write_text(text, encoding="utf-8")


def _size(folder, form) -> int:
    return sum(file.stat().st_size for file in model_files(folder, form))
