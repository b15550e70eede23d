"""The public names of the package, for `lazy_loader`, editors and type checkers."""

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
from .data.teacher_pairs import import_pairs
from .data.teacher_samples import sample_teacher
from .distillation import losses
from .distillation.tinygan import TinyGAN
from .evaluation import metrics
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
from .runs.hub_repository import export_hub
from .runs.planning import plan
from .runs.progress_pictures import animate_run
from .runs.teach import teach
from .runs.teacher_config import default_teacher_config
from .runtimes.litert import export_litert
from .runtimes.onnx import export_onnx
from .runtimes.openvino import export_openvino
from .saved_model.exporting import export_saved_model
from .teachers.biggan import BigGANDiscriminator, BigGANGenerator
from .teachers.hub import HubTeacher
from .teachers.import_weights import import_generator
from .web.student_page import write_page
