"""tinygan export: writes a student as a SavedModel for TensorFlow Serving.

tinygan export --model=runs/mine --out=serving/tinygan/1
"""

from pathlib import Path

from absl import flags


def define_flags(flag_values, arguments):
    flags.DEFINE_string(
        "model",
        None,
        "Run folder, or .keras file (required).",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "out",
        None,
        "Folder to write, named after its version number (required); it must not exist yet.",
        flag_values=flag_values,
    )


def run(flag_values):
    if not flag_values.model or not flag_values.out:
        raise ValueError(
            "Got no --model or no --out. Expected both, such as --model=runs/mine "
            "--out=serving/tinygan/1."
        )
    from ..generators.loading import load_student
    from ..generators.side_files import read_class_names, read_config
    from ..serving.export import export_saved_model

    source = Path(flag_values.model)
    path = export_saved_model(
        load_student(source),
        flag_values.out,
        class_names=read_class_names(source),
        truncation=read_config(source).get("truncation"),
    )
    print(f"Exported to {path}")
    print(f"Next: tensorflow_model_server --model_base_path={path.resolve().parent}")
