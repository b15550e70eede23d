"""The student in ONNX Runtime: conversion by tf2onnx, quantisation by ONNX Runtime, and running.

Only convolutions and matrix products are quantised: they are nearly all of the work, and with the maps
between them in float32 the images stay closer.
"""

import tensorflow as tf

from .conversion import EdgeExport, export_format
from .formats import ONNX, needed

_OPSET = 18


def export_onnx(
    student, path, precision="float32", batch_size=None, *, class_names=None, truncation=None
) -> EdgeExport:
    """Writes a student as an ONNX model: a folder with `model.onnx`, `config.json` and `class_names.txt`.

    The model takes `z` float32 `[B, latent_dim]` and `label` int32 `[B]` in `[0, num_classes)` and returns
    `image` float32 `[B, S, S, 3]` in [-1, 1], in both precisions.

    Args:
        student, path, class_names, truncation: As in `export_litert`.
        precision: "float32"; "int8": convolutions and matrix products, calibrated on 64 images of the
            student's own. It halves the file; whether it is quicker depends on the processor.
        batch_size: Images per call; None for any.

    Raises:
        ExistingFileError, MissingPackageError, TypeError, InputError: as `export_litert`; the extra is
            `onnx`.

    Example:
        export_onnx(student, "edge/student_onnx", truncation=0.5)
    """
    arguments = (student, path, precision, batch_size, class_names, truncation)
    return export_format(ONNX, _convert, *arguments)


def open_model(file, threads):
    """Returns a function of latents float32 and labels int32 to images."""
    onnxruntime = needed("onnxruntime", ONNX)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda latents, labels: session.run(["image"], {"z": latents, "label": labels})[0]


def _convert(order, folder, scratch):
    _to_onnx(order.write_source(scratch / "source"), scratch / ONNX.file)
    if order.precision == "int8":
        _quantize(scratch / ONNX.file, folder / ONNX.file, order.calibration_batches())


def _to_onnx(source, file):
    module = tf.saved_model.load(source)  # held until the end, as a signature doesn't hold it
    signature = module.signatures["serving_default"]
    _, inputs = signature.structured_input_signature
    specs = [inputs["z"], inputs["label"]]
    draw = tf.function(lambda z, label: signature(z=z, label=label), input_signature=specs)
    needed("tf2onnx.convert", ONNX).from_function(draw, specs, opset=_OPSET, output_path=str(file))


def _quantize(file, quantized, batches):
    quantization = needed("onnxruntime.quantization", ONNX)
    preparation = needed("onnxruntime.quantization.shape_inference", ONNX)
    prepared = file.with_stem("prepared")
    # Symbolic shapes can't follow a batch of any size, and nothing here needs them.
    preparation.quant_pre_process(str(file), str(prepared), skip_symbolic_shape=True)

    class Batches(quantization.CalibrationDataReader):
        remaining = iter(batches)

        def get_next(self):
            return next(self.remaining, None)

    quantization.quantize_static(
        str(prepared),
        str(quantized),
        Batches(),
        op_types_to_quantize=["Conv", "MatMul", "Gemm"],
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
    )
