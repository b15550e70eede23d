"""The model card of an exported folder: what it is, how to ask it, how good it is, how that was measured."""

import contextlib
import importlib.metadata
import json

import tensorflow as tf

from ..errors import InputError
from ..generators.cost import multiply_adds
from ..latents import LAW
from ..networks.network import count_parameters
from .signatures import TABLE

PACKAGES = ("tinygan-keras", "tensorflow", "keras", "tensorflow-serving-api")
_LICENCE = (
    "The program that wrote this is under the Apache License 2.0. The weights are under what whoever trained "
    "them says; the terms of the teacher and of the real images may have a say in it."
)


def model_card(
    generator, class_names, truncation=None, teacher=None, report=None, notes=(), usage=None
) -> str:
    """Returns the page, in Markdown; what is None is taken from the report, `notes` are sentences.

    `usage` stands in place of what a model server is asked.
    """
    report = report or {}
    config = report.get("config") or {}
    figures = dict(report.get("figures") or report.get("student") or {})
    for name in ("parameters", "multiply_adds"):  # those of this model are said above
        figures.pop(name, None)
    truncation = config.get("truncation") if truncation is None else truncation
    size, count = generator.image_size, generator.num_classes
    facts = {
        "images": f"{size} x {size} pixels, {count} classes",
        "latents": f"{generator.latent_dim} numbers: {LAW}",
        "teacher": teacher or config.get("teacher"),
        "truncation of the training": truncation,
        "classes of the training": (config.get("classes") or "all") if config else None,
        "parameters": f"{count_parameters(generator):,}",
        "multiply-adds per image": _multiply_adds(generator),
    }
    sections = [
        f"# TinyGAN student, {size} px",
        "A class-conditional generator of images, made by tinygan-keras.",
        _table(facts),
        usage or _request(class_names[0], 0.5 if truncation is None else float(truncation)),
        _listed("Figures", figures),
        _listed("Protocol of the figures", report.get("protocol")),
        _sentences("What the figures can't say", report.get("notes")),
        _sentences("This export", notes),
        _listed("Versions", _versions()),
        f"## Licence\n\n{_LICENCE}",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _multiply_adds(generator) -> str | None:
    """Those of one image; None if a graph doesn't say."""
    latents = tf.TensorSpec((1, generator.latent_dim))
    try:
        return f"{multiply_adds(generator, (latents, tf.TensorSpec((1,), tf.int32))):,}"
    except InputError:
        return None


def _request(class_name, truncation) -> str:
    row = {"class_name": class_name, "seed": 7, "truncation": truncation}
    body = {"signature_name": "sample_by_name", "instances": [row]}
    body = json.dumps(body, ensure_ascii=False).replace("'", "\\u0027")
    return f"""## Signatures

{TABLE}

The same class, seed and truncation give the same image. A row with a class that isn't there, a truncation
outside [0, 1] or a negative seed gets a black image and `valid` false; its neighbours are generated.

    tensorflow_model_server --model_name=tinygan --model_base_path=$PWD/.. --rest_api_port=8501
    curl http://127.0.0.1:8501/v1/models/tinygan:predict -d '{body}'

REST gives `image_bytes` as base64, below "b64"."""


def _table(values) -> str:
    lines = [f"| {name.replace('_', ' ')} | {_text(value)} |" for name, value in values.items()]
    return "\n".join(["| | |", "|---|---|", *lines])


def _listed(title, values) -> str:
    return f"## {title}\n\n{_table(dict(sorted(values.items())))}" if values else ""


def _sentences(title, sentences) -> str:
    lines = [f"- {sentence}" for sentence in sentences or ()]
    return "\n".join([f"## {title}\n", *lines]) if lines else ""


def _text(value) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(part)}" for name, part in sorted(value.items()))
    return f"{value:.6g}" if isinstance(value, float) else str(value).replace("|", "\\|")


def _versions() -> dict:
    """Of the packages that are installed."""
    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions
