"""TinyGAN in Keras 3: distil a BigGAN teacher into a student a sixteenth of its size.

    import tinygan_keras as tg

    teacher = tg.HubTeacher("https://tfhub.dev/deepmind/biggan-deep-128/1", truncation=0.5)
    student = tg.StudentGenerator.from_preset("tinygan_128")
    discriminator = tg.Discriminator.from_preset("tinygan_128")
    model = tg.TinyGAN(student, discriminator, teacher=teacher)
    model.compile()
    model.fit(dataset, epochs=30)

Names are imported at first use, so that `import tinygan_keras` is quick and a student can be used where
TensorFlow Hub, TF-GAN and plotting aren't installed.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the same names for editors and type checkers, which don't run `__getattr__`
    # ruff: noqa: F401
    from . import (
        classes,
        data,
        distillation,
        evaluation,
        generators,
        networks,
        pictures,
        runs,
        runtimes,
        saved_model,
        teachers,
    )
    from .client import ServingClient, ServingError
    from .data.batches import distillation_batches
    from .data.image_sets import open_images, open_training_images
    from .data.keras_sets import load_fashion_mnist, load_fashion_mnist_subset
    from .data.prepare_images import prepare_images
    from .data.teacher_cache import TeacherCache, verify_cache, write_cache
    from .data.teacher_samples import sample_teacher
    from .distillation import losses
    from .distillation.tinygan import TinyGAN
    from .evaluation.evaluate import evaluate
    from .evaluation.extractors.extractor import FeatureExtractor, load_extractor
    from .evaluation.real_statistics import load_reference, measure_reference
    from .generators.generator import Generator
    from .generators.opening import load_generator, open_generator
    from .latents import sample_latents
    from .networks.discriminator import Discriminator
    from .networks.student import StudentGenerator
    from .pictures.image_rows import class_grid
    from .pictures.report import draw_album
    from .runs.config import default_config
    from .runs.distill import distill
    from .runs.divergence import StopOnDivergence
    from .runs.evaluation_callback import EvaluationCallback
    from .runtimes.litert import export_litert
    from .runtimes.onnx import export_onnx
    from .runtimes.openvino import export_openvino
    from .saved_model.exporting import export_saved_model
    from .teachers.biggan import BigGANDiscriminator, BigGANGenerator
    from .teachers.hub import HubTeacher

__version__ = "0.1.0"

_HOME_OF = {
    "TinyGAN": ".distillation.tinygan",
    "StudentGenerator": ".networks.student",
    "Discriminator": ".networks.discriminator",
    "BigGANGenerator": ".teachers.biggan",
    "BigGANDiscriminator": ".teachers.biggan",
    "HubTeacher": ".teachers.hub",
    "sample_latents": ".latents",
    "sample_teacher": ".data.teacher_samples",
    "distillation_batches": ".data.batches",
    "open_training_images": ".data.image_sets",
    "write_cache": ".data.teacher_cache",
    "verify_cache": ".data.teacher_cache",
    "TeacherCache": ".data.teacher_cache",
    "default_config": ".runs.config",
    "distill": ".runs.distill",
    "export_saved_model": ".saved_model.exporting",
    "export_litert": ".runtimes.litert",
    "export_onnx": ".runtimes.onnx",
    "export_openvino": ".runtimes.openvino",
    "ServingClient": ".client",
    "ServingError": ".client",
    "load_fashion_mnist": ".data.keras_sets",
    "load_fashion_mnist_subset": ".data.keras_sets",
    "evaluate": ".evaluation.evaluate",
    "StopOnDivergence": ".runs.divergence",
    "EvaluationCallback": ".runs.evaluation_callback",
    "FeatureExtractor": ".evaluation.extractors.extractor",
    "load_extractor": ".evaluation.extractors.extractor",
    "Generator": ".generators.generator",
    "open_generator": ".generators.opening",
    "load_generator": ".generators.opening",
    "open_images": ".data.image_sets",
    "prepare_images": ".data.prepare_images",
    "measure_reference": ".evaluation.real_statistics",
    "load_reference": ".evaluation.real_statistics",
    "draw_album": ".pictures.report",
    "class_grid": ".pictures.image_rows",
}
_ROOMS = (
    *("classes", "data", "distillation", "evaluation", "generators", "networks"),
    *("pictures", "runs", "runtimes", "saved_model", "teachers"),
)
_HOME_OF_MODULE = {"losses": ".distillation.losses", **{room: f".{room}" for room in _ROOMS}}

__all__ = ["__version__", *_HOME_OF, *_HOME_OF_MODULE]


def __getattr__(name):
    if name in _HOME_OF:
        return getattr(importlib.import_module(_HOME_OF[name], __name__), name)
    if name in _HOME_OF_MODULE:
        return importlib.import_module(_HOME_OF_MODULE[name], __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return __all__
