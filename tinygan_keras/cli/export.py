"""tinygan export: writes a student for TensorFlow Serving, a small runtime, or the Hugging Face Hub.

    tinygan export --model=runs/mine --out=serving/tinygan/1
    tinygan export --model=runs/mine --format=litert --precision=int8 --out=edge/mine_int8
    tinygan export --model=runs/mine --format=hub --license=mit --out=hub/mine

| --format | for | --precision | batch | extra |
|---|---|---|---|---|
| saved_model | TensorFlow Serving | float32 | any | |
| litert | LiteRT: phones, quickest at batch 1 | float32, float16, int8 | static, 1 | litert |
| onnx | ONNX Runtime | float32, int8 | any, or static | onnx |
| openvino | OpenVINO: Intel's processors | float32, int8 | any, or static | openvino |
| hub | the Hugging Face Hub: hf upload OWNER/NAME hub/mine | float32 | any | hub |

An extra is installed by pip install "tinygan-keras[litert]". --out is always a folder. Every format takes
and gives float32 numbers. float16 are weights of half the size; int8 is calibrated on images of the student's
own, at the truncation of its run. What was written has been loaded and compared with the student: images in
float32, in [-1, 1], differ by at most 1e-4, those in float16 and int8 have a PSNR of at least 50 and 22 dB.
"""

import importlib
import shlex
from pathlib import Path

from ..embedded import find
from ..errors import InputError
from ..files import read_json
from ..runtimes.formats import FORMATS

FLAGS = ("model", "out", "format", "precision", "batch_size", "license", "base_model")
REQUIRED = ("model", "out")


def run(flags):
    sized = {} if flags.batch_size is None else {"batch_size": flags.batch_size}
    if flags.format not in FORMATS and (sized or flags.precision != "float32"):
        raise InputError(
            f"Got --precision={flags.precision} and --batch_size={flags.batch_size} of a {flags.format}. "
            f"Expected float32 and any batch. Add --format={' or --format='.join(FORMATS)}."
        )
    of_card = {name: getattr(flags, name) for name in ("license", "base_model")}
    of_card = {name: value for name, value in of_card.items() if value is not None}
    if flags.format == "hub":
        from ..runs.hub_repository import export_hub

        path = export_hub(flags.model, flags.out, **of_card)
        print(f"Exported to {path}\nNext: hf upload OWNER/NAME {shlex.quote(str(path))}")
        return
    if of_card:
        raise InputError(
            f"Got --{' and --'.join(of_card)} of a {flags.format}. Expected it of a repository of the "
            "Hugging Face Hub only. Leave it out, or add --format=hub."
        )
    from ..generators.opening import load_student
    from ..generators.side_files import STUDENT_FILE, read_class_names, read_config

    source = Path(find(flags.model))
    student = load_student(source)
    config = read_config(source)
    known = {"class_names": read_class_names(source), "truncation": config.get("truncation")}
    if flags.format == "saved_model":
        from ..saved_model.exporting import export_saved_model

        folder = source if source.is_dir() else source.parent
        report = folder / "report.json"
        known["report"] = {"config": config}
        # Another file beside a report may hold any weights.
        if report.is_file() and (source.is_dir() or source.name == STUDENT_FILE):
            known["report"] = read_json(report)
        path = export_saved_model(student, flags.out, teacher=config.get("teacher"), **known)
        print(f"Exported to {path}")
        print(
            "Next: tensorflow_model_server --model_name=tinygan --rest_api_port=8501 --port=8500 "
            f"--model_base_path={shlex.quote(str(path.resolve().parent))}"
        )
        print("      tinygan request --server=http://127.0.0.1:8501 --classes=0 --out=picture.png")
        return
    runtime = importlib.import_module(f"..runtimes.{flags.format}", __package__)
    export = getattr(runtime, f"export_{flags.format}")
    exported = export(student, flags.out, flags.precision, **sized, **known)
    ratio = exported.bytes / exported.float32_bytes
    print(
        f"Exported to {exported.path}\nSize: {exported.bytes:,} bytes, {ratio:.2f} of float32\nCompared "
        f"with the student: largest difference {exported.max_difference:.2g}, PSNR {exported.psnr:.1f} dB"
    )
