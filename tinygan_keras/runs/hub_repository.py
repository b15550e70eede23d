"""A student as a repository of the Hugging Face Hub: what lies in the folder, and the header of its card."""

import os
import re
import shutil
from pathlib import Path

import numpy as np

from ..classes.selection import class_numbers
from ..embedded import find
from ..evaluation.metrics import FIGURES
from ..evaluation.results import FILE, evaluation_of
from ..files import new_folder, user_path, write_json, write_text
from ..generators.generator import GeneratedImages, grid_of
from ..generators.opening import load_student, open_generator
from ..generators.side_files import STUDENT_FILE, read_class_names, read_config, write_class_names
from ..hugging_face import SCHEME, huggingface_hub, parse
from ..latents import resolve_truncation
from ..pictures.image_rows import image_rows
from ..saved_model.model_card import model_card
from ..saved_model.signatures import distinct_names

_TASK = "unconditional-image-generation"  # the Hub has none for images of a class
_TAGS = ["tinygan", "gan", "class-conditional", "image-generation", "knowledge-distillation"]
_DATA_SETS = {  # names of Keras and TensorFlow Datasets, and of the Hub
    "fashion_mnist": "zalando-datasets/fashion_mnist",
    "mnist": "ylecun/mnist",
    "cifar10": "uoft-cs/cifar10",
    "cifar100": "uoft-cs/cifar100",
    "imagenet2012": "ILSVRC/imagenet-1k",
}
_PROTOCOL = ("extractor", "extractor_hash", "generated_images", "real_images", "truncation")

_USAGE = """![samples](pictures/samples.png)

*Eight images of a class, truncation {truncation:g}.*

## Use

    pip install "tinygan-keras[hub]"
    tinygan sample --model=hf://OWNER/NAME --out=samples.png

    import tinygan_keras as tg
    images = tg.open_generator("hf://OWNER/NAME").generate({class_name!r}, seeds=7)

OWNER/NAME is this repository. The same class, seed and truncation give the same image."""


def export_hub(model, path, *, license="unknown", base_model=None) -> Path:
    """Writes a student as a repository for the Hugging Face Hub, which `hf upload` takes.

    The folder holds `student.keras`, `config.json`, `class_names.txt`, pictures, of a run its evaluation,
    and a model card, `README.md`. The card's header, in YAML, has library, licence, tags, base model, data
    set and the figures of the evaluation, if the run has one of these weights. Paths from the root of a
    disk are cut to `./` and their last name. Once uploaded, "hf://OWNER/NAME" names the student.

    Args:
        model: A run folder, a `.keras` file, or the name of a student.
        path: Folder to write, a new one.
        license: Of the weights, as the Hub names it, such as "mit".
        base_model: The teacher on the Hub, "OWNER/NAME"; None for that of a run whose teacher is an hf://
            name, and else for none.

    Returns:
        The path written.

    Raises:
        MissingPackageError: huggingface_hub, the extra `hub`, isn't installed.
        MissingFileError: `model` is no student.
        ExistingFileError: `path` exists.
        InputError: `base_model` is no name of a repository.

    Example:
        export_hub("tinygan_fashion_32", "hub/tinygan_fashion_32", license="mit")
    """
    hub, source = huggingface_hub(), Path(find(model))
    student, config, names = load_student(source), read_config(source), read_class_names(source)
    run, file = (source, STUDENT_FILE) if source.is_dir() else (source.parent, source.name)
    generator = open_generator(student)
    evaluation, pictures = {}, []
    if file == STUDENT_FILE:
        evaluation, pictures = evaluation_of(run, generator), sorted(run.glob("pictures/*.png"))
    else:
        config.pop("ema_decay", None)  # another file may hold any weights of the run
    config, evaluation = _public(config), _public(evaluation)
    header = _header(hub, config, evaluation, license, base_model)
    titles = distinct_names(names, generator.num_classes)
    shown = class_numbers(config.get("classes"), len(titles), titles, distinct=True)[:10]
    truncation = resolve_truncation(config.get("truncation"))
    usage = _USAGE.format(truncation=truncation, class_name=titles[shown[0]])
    usage += "".join(f"\n\n![{path.stem}](pictures/{path.name})" for path in pictures)
    card = model_card(student, titles, report={**evaluation, "config": config}, usage=usage)

    with new_folder(path) as folder:
        (folder / "pictures").mkdir(parents=True)
        for copied in (run / file, *pictures):
            shutil.copyfile(copied, folder / copied.relative_to(run))
        (folder / file).rename(folder / STUDENT_FILE)
        images = GeneratedImages(generator, *grid_of(shown, range(8)), truncation)
        rows = np.split(images.read(0, images.count), len(shown))
        image_rows(rows, [titles[label] for label in shown], folder / "pictures" / "samples.png")
        write_json(folder / "config.json", config)
        if names is not None:
            write_class_names(folder, names)
        if evaluation:
            write_json(folder / "evaluation" / FILE, evaluation)
        write_text(folder / "README.md", f"---\n{header}\n---\n\n{card}")
    return Path(user_path(path))


def _header(hub, config, evaluation, license, base_model) -> str:
    """The card's metadata in YAML; what isn't known is left out."""
    teacher, data = str(config.get("teacher")), _data_set(str(config.get("data")))
    base_model = base_model or (teacher if teacher.startswith(SCHEME) else None)
    figures, protocol = (evaluation.get(name, {}) for name in ("figures", "protocol"))
    real = (evaluation.get("real") or {}).get("real_source", "generated images")
    results = [
        hub.EvalResult(
            task_type=_TASK,
            dataset_type=_data_set(real) or "other",
            dataset_name=real,
            dataset_args={key: protocol[key] for key in _PROTOCOL if key in protocol},
            metric_type=name,
            metric_name=figure.title,
            metric_value=figures[name],
        )
        for name, figure in FIGURES.items()
        if figure.better and figures.get(name) is not None
    ]
    return hub.ModelCardData(
        library_name="keras",
        license=license,
        pipeline_tag=_TASK,
        tags=_TAGS,
        base_model=base_model and parse(SCHEME + base_model.removeprefix(SCHEME)).id,
        datasets=data and [data],
        metrics=[result.metric_type for result in results] or None,
        model_name=config.get("name", "tinygan"),
        eval_results=results or None,
    ).to_yaml()


def _data_set(name) -> str | None:
    """The Hub's name of a data set that goes by `name` in a config or an evaluation."""
    if name.startswith(f"{SCHEME}datasets/"):
        return parse(name).id
    if re.match(r"fashion_mnist(_10k(\.npz)?)?([:, ]|$)", name):
        name = f"keras:{name}"
    known = re.match(rf"(?:keras:|tfds:)({'|'.join(_DATA_SETS)})(?:_10k|[:/, ]|$)", name)
    return _DATA_SETS[known[1]] if known else None


def _public(value):
    """`value` with paths from the root of a disk cut to `./` and their last name, which stays a path."""
    if isinstance(value, dict):
        return {key: _public(part) for key, part in value.items()}
    return f"./{Path(value).name}" if isinstance(value, str) and os.path.isabs(value) else value
