"""The student in OpenVINO, Intel's runtime: conversion by OpenVINO, quantisation by NNCF, and running.

Feature maps are quantised with one scale for all channels. NNCF's scales per channel in front of depthwise
convolutions are wrong where a map is transposed, as TensorFlow's are: images of 10 dB.
OpenVINO's tools report to their makers that they were used; `opt_in_out --opt_out` ends it.
"""

import logging

import numpy as np

from .conversion import EdgeExport, export_format
from .formats import OPENVINO, needed

# Sums, products and resizings are cheap, and lose more than they save.
_LEFT_IN_FLOAT = ["Add", "Multiply", "Relu", "Interpolate"]


def export_openvino(
    student, path, precision="float32", batch_size=None, *, class_names=None, truncation=None
) -> EdgeExport:
    """Writes a student for OpenVINO: `model.xml`, `model.bin`, `config.json` and `class_names.txt`.

    The model takes `z` float32 `[B, latent_dim]` and `label` int32 `[B]` in `[0, num_classes)` and returns
    `image` float32 `[B, S, S, 3]` in [-1, 1], in both precisions. OpenVINO computes in bfloat16 where the
    processor can, unless it is compiled with `INFERENCE_PRECISION_HINT="f32"`, as `open_runtime` does.

    Args:
        student, path, class_names, truncation: As in `export_litert`.
        precision: "float32"; "int8": convolutions and matrix products, calibrated by NNCF on 64 images of
            the student's own.
        batch_size: Images per call; None for any.

    Raises:
        ExistingFileError, MissingPackageError, TypeError, InputError: as `export_litert`; the extra is
            `openvino`.

    Example:
        export_openvino(student, "edge/student_openvino", "int8", truncation=0.5)
    """
    arguments = (student, path, precision, batch_size, class_names, truncation)
    return export_format(OPENVINO, _convert, *arguments)


def open_model(file, threads):
    """Returns a function of latents float32 and labels int32 to images."""
    core = needed("openvino", OPENVINO).Core()
    # It computes in bfloat16 otherwise where the processor can.
    hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    model = core.compile_model(str(file), "CPU", hints)
    return lambda latents, labels: np.array(model({"z": latents, "label": labels})["image"])


def _convert(order, folder, scratch):
    openvino = needed("openvino", OPENVINO)

    def save(model, where):
        openvino.save_model(model, str(where / OPENVINO.file), compress_to_fp16=False)

    model = openvino.convert_model(order.write_source(scratch / "source"))
    save(model, scratch)
    if order.precision == "int8":
        save(_quantized(model, order.calibration_batches()), folder)


def _quantized(model, batches):
    nncf = needed("nncf", OPENVINO)
    nncf.set_log_level(logging.WARNING)  # otherwise it names every node that it leaves as it is
    advanced = needed("nncf.quantization.advanced_parameters", OPENVINO)
    one_scale = advanced.QuantizationParameters(per_channel=False)
    return nncf.quantize(
        model,
        nncf.Dataset(batches),
        subset_size=len(batches),
        ignored_scope=nncf.IgnoredScope(types=_LEFT_IN_FLOAT, validate=False),
        advanced_parameters=advanced.AdvancedQuantizationParameters(
            activations_quantization_params=one_scale
        ),
    )
