"""A student as one HTML file, which generates in the browser: no server, no network.

`generator.js` is the forward pass, `page.js` and `page.css` are what is around it, `page.html` holds them.
The weights travel as text, matrices in float16 and vectors in float32: images differ from the student's by at
most 2 of 255 levels. Every conditional normalisation becomes one affine map of its condition.

Rejected: TensorFlow.js and ONNX Runtime Web, whose programs alone are larger than the whole page of the
embedded student; int8, which would save a third of that page and cost exactness.
"""

import base64
import html
import io
import json
import re
from pathlib import Path

import numpy as np
from PIL import Image

from ..classes.selection import class_numbers
from ..embedded import find
from ..errors import InputError
from ..evaluation.evaluate import check_pair
from ..evaluation.metrics import FIGURES
from ..evaluation.results import beside_teacher, evaluation_of, figure_rows
from ..files import check_writable, user_path, write_text
from ..generators.cost import multiply_adds_of
from ..generators.generator import GeneratedImages, grid_of
from ..generators.opening import load_student, open_generator
from ..generators.side_files import STUDENT_FILE, read_config, teacher_here
from ..latents import resolve_truncation
from ..networks.network import count_parameters
from ..networks.student import StudentGenerator

MAX_BYTES = 20 * 2**20  # of weights
_SPRITE_CLASSES, _SPRITE_SEEDS = (
    128,
    8,
)  # of the teacher's pictures; one seed where classes are many
_FIGURES = ("frechet_distance", "frechet_to_teacher", "label_accuracy", "recall", "coverage")
_PROTOCOL = ("extractor", "generated_images", "real_images", "truncation")


def write_page(model, path, teacher="auto") -> Path:
    """Writes a page that generates a student's images in the browser, in one HTML file.

    The same class, seed and truncation give the same picture as everywhere else. The page mixes classes,
    shows variations and walks between pictures; it holds pictures of the teacher, and the figures of the
    student's evaluation, if the run has one of these weights.

    Args:
        model: A run folder, a `.keras` file, the name of a student, or hf://OWNER/NAME.
        path: The file to write; one that is there is replaced.
        teacher: What the student was distilled from: a path, handle or name, or a `Generator`; None for
            none; "auto" for the one of the run's config if it is on this machine.

    Returns:
        The path written.

    Raises:
        MissingFileError: `model` is no student, or `teacher` isn't there.
        InputError: the student is another network than `StudentGenerator`, its weights take more than 20 MiB,
            or the teacher doesn't fit it.
        UnusableFileError: nothing can be written there.

    Example:
        write_page("tinygan_v2_fashion_32", "page.html")
    """
    path = Path(user_path(path))
    check_writable(path.parent, f"the page {path}")
    source = Path(find(model))
    student = load_student(source)
    kernels, vectors = page_weights(student, model)
    generator = open_generator(source)
    truncation = resolve_truncation(None, generator)
    names = generator.class_names or tuple(map(str, range(student.num_classes)))
    chosen = read_config(source).get("classes")
    labels = class_numbers(chosen, student.num_classes, names).tolist()
    teacher = teacher_here(generator) if teacher == "auto" else teacher
    if teacher is not None:
        teacher = open_generator(teacher, truncation)
        check_pair(generator, teacher)
    evaluation = {}
    if source.is_dir() or source.name == STUDENT_FILE:
        evaluation = evaluation_of(source if source.is_dir() else source.parent, generator)

    size = len(kernels) + len(vectors)
    name = Path(generator.source).name if Path(generator.source).is_absolute() else generator.source
    page_model = {
        "name": name,
        "names": names,
        "labels": labels,
        "start": labels[0],
        "truncation": truncation,
        "side": student.image_size,
        "student": _cost(generator, size),
        "teacher": teacher and _teacher_pictures(teacher, labels),
        "figures": _figures(evaluation),
        "network": {
            "channels": student.channels,
            "latent": student.latent_dim,
            "classes": student.num_classes,
            "embedding": student.embedding_dim,
            "latents": student.latents,
            "pointwise_first": student.pointwise_first,
        },
        "kernels": _text(kernels),
        "vectors": _text(vectors),
    }
    summary = (
        f"{count_parameters(student):,} parameters, {len(labels)} classes, {student.image_size} x "
        f"{student.image_size} pixels"
    )
    write_text(path, _fill(name, summary, student.image_size, evaluation, page_model))
    return path


def page_weights(student, name) -> tuple:
    """The student's matrices in float16 and vectors in float32, little-endian, in `generator.js`' order."""
    if not isinstance(student, StudentGenerator):
        raise InputError(
            f"Got {name}, a {type(student).__name__}. Expected a StudentGenerator of at most "
            f"{MAX_BYTES >> 20} MiB in float16: the page computes that network alone. Give a student that "
            "tinygan distill trained."
        )
    size = 2 * count_parameters(student)
    if size > MAX_BYTES:
        raise InputError(
            f"Got {name} with {size / 2**20:.0f} MiB of weights in float16. Expected at most "
            f"{MAX_BYTES >> 20} MiB: a page is loaded whole. Serve it (tinygan export), or distil a student "
            "of fewer channels."
        )
    kernels, vectors = [], []

    def add(kernel, bias):
        kernels.append(np.ravel(kernel))
        vectors.append(np.ravel(bias))

    def add_layer(layer):
        add(layer.kernel, layer.bias)

    layer = student.get_layer
    kernels.append(np.ravel(layer("class_embedding").embeddings))
    add_layer(layer("projection"))
    for i in range(len(student.channels) - 1):
        for part in (0, 1):
            add(*_folded(layer(f"block_{i}_norm_{part}")))
            add_layer(layer(f"block_{i}_depthwise_{part}"))
            add_layer(layer(f"block_{i}_pointwise_{part}"))
        add_layer(layer(f"block_{i}_shortcut"))
    norm = layer("final_norm")
    scale = np.asarray(norm.gamma) / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    vectors += [scale, np.asarray(norm.beta) - np.asarray(norm.moving_mean) * scale]
    equal = 3 // student.image_channels  # the page computes three channels
    to_rgb = layer("to_rgb")
    add(*(np.repeat(weights, equal, axis=-1) for weights in (to_rgb.kernel, to_rgb.bias)))
    kernels, vectors = np.concatenate(kernels), np.concatenate(vectors)
    largest = np.abs(kernels).max()
    if not largest <= np.finfo("float16").max or not np.isfinite(vectors).all():
        raise InputError(
            f"Got {name} with a weight of {largest:.3g}. Expected finite numbers within float16's range. The "
            "training has diverged: take an earlier checkpoint."
        )
    return kernels.astype("<f2").tobytes(), vectors.astype("<f4").tobytes()


def _folded(norm) -> tuple:
    """Kernel and bias of the scale and shift by class, with the statistics of the normalisation in them."""
    kernel, bias = (
        np.asarray(weight, "float64") for weight in (norm.affine.kernel, norm.affine.bias)
    )
    mean = np.asarray(norm.moving_mean, "float64")
    deviation = np.sqrt(np.asarray(norm.moving_variance, "float64") + norm.epsilon)
    folded = []
    for weight in (kernel, bias):
        scale, shift = np.split(weight, 2, axis=-1)
        scale = scale / deviation
        folded.append(np.concatenate([scale, shift - mean * scale], axis=-1))
    return tuple(folded)


def _teacher_pictures(teacher, labels) -> dict:
    """The teacher's pictures side by side in one WebP image: a row per class, a column per seed."""
    seeds = range(_SPRITE_SEEDS if len(labels) <= 2 * _SPRITE_SEEDS else 1)
    labels = labels[:_SPRITE_CLASSES]
    images = GeneratedImages(teacher, *grid_of(labels, seeds), teacher.truncation)
    pixels = images.read(0, images.count).reshape(
        len(labels), len(seeds), *[teacher.image_size] * 2, 3
    )
    sheet = np.concatenate(np.concatenate(pixels, axis=1), axis=1)
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "webp", quality=90)
    return {
        "sprite": f"data:image/webp;base64,{_text(file.getvalue())}",
        "classes": labels,
        "seeds": len(seeds),
        "truncation": teacher.truncation,
        "cost": _cost(teacher),
    }


def _cost(generator, size=None) -> str:
    """Parameters, multiply-adds of an image, and bytes, in words."""
    operations = multiply_adds_of(generator)
    words = [f"{generator.parameters:,} parameters", f"{operations / 1e6:,.1f} M multiply-adds"]
    return " · ".join(words + ([f"{size / 1000:,.0f} kB"] if size else []))


def _figures(evaluation) -> list:
    """The figures that people ask for, of the student and of its teacher: rows of cells, heads first."""
    if not evaluation:
        return [["No evaluation of these weights: tinygan evaluate makes one"]]
    columns = {
        title: column["figures"] for title, column in beside_teacher(evaluation, "student").items()
    }
    table = {name: FIGURES[name] for name in _FIGURES}
    rows = [[title, *cells] for _, title, cells in figure_rows(columns, table)]
    return [["", *columns], *rows]


def _protocol(evaluation) -> str:
    protocol = evaluation.get("protocol", {})
    facts = (f"{key.replace('_', ' ')} {protocol[key]}" for key in _PROTOCOL if key in protocol)
    return ", ".join(facts)


def _fill(title, summary, side, evaluation, model) -> str:
    folder = Path(__file__).parent
    texts = {
        "title": html.escape(title),
        "summary": html.escape(summary),
        "side": str(side),
        "protocol": html.escape(_protocol(evaluation)),
        "model": json.dumps(model, ensure_ascii=False).replace("<", "\\u003c"),
        "style": (folder / "page.css").read_text(encoding="utf-8"),
        "generator": (folder / "generator.js").read_text(encoding="utf-8"),
        "page": (folder / "page.js").read_text(encoding="utf-8"),
    }
    page = (folder / "page.html").read_text(encoding="utf-8")
    return re.sub(r"{{(\w+)}}", lambda found: texts[found[1]], page)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
