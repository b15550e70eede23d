"""tinygan export: writes a student for TensorFlow Serving, or for a small and quick runtime.

    tinygan export --model=runs/mine --out=serving/tinygan/1
    tinygan export --model=runs/mine --format=litert --precision=int8 --out=edge/mine_int8

| --format | for | --precision | batch | extra |
|---|---|---|---|---|
| saved_model | TensorFlow Serving | float32 | any | |
| litert | LiteRT: phones, quickest at batch 1 | float32, float16, int8 | static, 1 | litert |
| onnx | ONNX Runtime | float32, int8 | any, or static | onnx |
| openvino | OpenVINO: Intel's processors | float32, int8 | any, or static | openvino |

An extra is installed by pip install "tinygan-keras[litert]". --out is always a folder. Every form takes
and gives float32 numbers. float16 are weights of half the size; int8 is calibrated on images of the student's
own, at the truncation of its run. What was written has been compared with the student: images in float32, in
[-1, 1], differ by at most 1e-4, those in float16 and int8 have a PSNR of at least 50 and 22 dB.
"""

import json
from pathlib import Path

from absl import flags

from ..errors import InputError
from ..runtimes.forms import FORMS, PRECISIONS, check_form


def define_flags(flag_values, arguments):
    def define(kind, name, default, *rest):
        kind(name, default, *rest, flag_values=flag_values)

    define(flags.DEFINE_string, "model", None, "Run folder, or .keras file (required).")
    define(
        flags.DEFINE_string,
        "out",
        None,
        "Folder to write (required); it must not exist yet. Servers expect a version number as its name.",
    )
    define(
        flags.DEFINE_enum,
        "format",
        "saved_model",
        ["saved_model", *FORMS],
        "What it is for; see above.",
    )
    define(
        flags.DEFINE_enum, "precision", "float32", list(PRECISIONS), "Of weights and arithmetic."
    )
    define(
        flags.DEFINE_integer,
        "batch_size",
        None,
        "Images per call; default: 1 for litert, any for the others.",
    )


def run(flag_values):
    _check(flag_values)
    from ..generators.opening import load_student
    from ..generators.side_files import read_class_names, read_config

    source = Path(flag_values.model)
    student = load_student(source)
    config = read_config(source)
    known = {"class_names": read_class_names(source), "truncation": config.get("truncation")}
    if flag_values.format == "saved_model":
        from ..saved_model.export import export_saved_model

        known |= {"teacher": config.get("teacher"), "report": _read_report(source)}
        path = export_saved_model(student, flag_values.out, **known)
        print(f"Exported to {path}")
        print(
            "Next: tensorflow_model_server --model_name=tinygan --rest_api_port=8501 --port=8500 "
            f"--model_base_path={path.resolve().parent}"
        )
        print("      tinygan request --server=http://127.0.0.1:8501 --classes=0 --out=picture.png")
        return
    batch_size = flag_values.batch_size or FORMS[flag_values.format].batch
    export = _exporter(flag_values.format)
    exported = export(student, flag_values.out, flag_values.precision, batch_size, **known)
    ratio = exported.bytes / exported.float32_bytes
    print(f"Exported to {exported.path}")
    print(f"Size: {exported.bytes:,} bytes, {ratio:.2f} of float32")
    print(
        f"Against the student: largest difference {exported.max_difference:.2g}, "
        f"PSNR {exported.psnr:.1f} dB"
    )


def _read_report(source) -> dict | None:
    """The report of the run whose student this is; None if there is none."""
    file = (source if source.is_dir() else source.parent) / "report.json"
    # Another file beside a report may hold any weights.
    if not file.is_file() or (source.is_file() and source.name != "student.keras"):
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"Got {file}, which can't be read: {error}. Expected JSON. Mend it, or take it away."
        ) from error


def _exporter(form):
    if form == "litert":
        from ..runtimes.export_litert import export_litert

        return export_litert
    if form == "onnx":
        from ..runtimes.export_onnx import export_onnx

        return export_onnx
    from ..runtimes.export_openvino import export_openvino

    return export_openvino


def _check(flag_values):
    if not flag_values.model or not flag_values.out:
        raise InputError(
            "Got no --model or no --out. Expected both, such as --model=runs/mine "
            "--out=serving/tinygan/1."
        )
    form, precision, batch_size = (
        flag_values[n].value for n in ("format", "precision", "batch_size")
    )
    if form == "saved_model" and (precision != "float32" or batch_size is not None):
        raise InputError(
            f"Got --precision={precision} and --batch_size={batch_size} with --format=saved_model. Expected "
            f"float32 and any batch, which is all that it has. Add --format={' or --format='.join(FORMS)}."
        )
    if form in FORMS:
        check_form(FORMS[form], precision, FORMS[form].batch if batch_size is None else batch_size)
