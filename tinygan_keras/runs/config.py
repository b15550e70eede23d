"""Every setting of a distillation run, with the paper's value as its default. Imports no TensorFlow.

Rejected: groups of settings. Nearly every name says where it belongs, and is shorter to override.
"""

import math
import os
import runpy

from ml_collections import ConfigDict, config_dict

from ..errors import InputError, MissingFileError, nearest_name
from ..evaluation.metrics import MONITORS, MONITORS_WITHOUT_REAL
from ..files import is_url, user_path
from ..networks.presets import DISCRIMINATORS, STUDENTS

PATHS = ("teacher", "data", "data_subset", "teacher_cache", "extractor", "reference_student")
LOSS_SETTINGS = (  # keywords of `TinyGAN.compile`
    *("feature_weights", "pixel_weight", "pixel_weight_decay", "adversarial_distillation_weight"),
    *("adversarial_gan_weight", "discriminator_gan_weight", "adversarial_interval"),
    *("reuse_teacher_features", "power_iteration_per_call", "renew_fresh_latents", "fresh_latents"),
    "adversarial_loss",
)


def default_config() -> ConfigDict:
    """Returns every setting, at the value of Chang & Lu, arXiv:2009.13829, where they have one.

    Three things differ, because ImageNet is not at hand: all classes of the teacher (the paper: 398
    animals), a live teacher (the paper: stored images), and no real images.
    """
    config = ConfigDict()
    config.name = "tinygan"
    config.seed = 0  # weights, order of the data, latents of the training
    config.sample_seed = 2**40  # of pictures and evaluation; beyond those of any training or cache

    # Or a folder, or a name; "none": the teacher_cache alone, as it is with one of imported pairs.
    config.teacher = "https://tfhub.dev/deepmind/biggan-deep-128/1"
    config.truncation = 0.5
    config.image_size = config_dict.placeholder(int)  # None: the teacher's

    config.student = "tinygan_128"  # a preset; see StudentGenerator.presets()
    config.student_overrides = ConfigDict()  # constructor arguments that differ from the preset
    config.discriminator = "tinygan_128"
    config.discriminator_overrides = ConfigDict()

    # "none": no real images, no GAN terms; "fashion_mnist", "tfds:imagenet2012", "keras:cifar10", a folder
    # with a sub-folder per class, or an .npz file.
    config.data = "none"
    config.data_subset = ""  # file or fashion_mnist_10k, read if Fashion-MNIST isn't here
    config.horizontal_flip = False  # of real images, at random
    config.classes = ""  # "": all; "animals", "0-9,17" or names: of teacher and real images
    config.teacher_samples = 0  # generated once, before training; 0: a live teacher in every step
    config.teacher_cache = ""  # or a folder of `tinygan cache`, generated long before

    config.batch_size = 32
    config.accumulate_steps = 1  # pieces of a batch, computed one after the other to save memory
    config.steps = 741_600  # 30 epochs of 791 thousand teacher images
    config.steps_per_epoch = 24_720  # a checkpoint, a picture and a step of the pixel weight
    config.checkpoint_minutes = 10.0  # between checkpoints inside an epoch; 0: at its end only
    config.g_learning_rate = 2e-4
    config.d_learning_rate = 2e-4
    config.beta_1 = 0.0
    config.beta_2 = 0.9
    # Keras' default. PyTorch's, and so the authors', is 1e-8; in a step of the paper's, 1e-7 damps the moves
    # of a quarter of the student's weights by more than 10 %.
    config.adam_epsilon = 1e-7
    # Fraction of the run after which both rates fall linearly to 0. The original starts at step
    # 300,000 however long the run, so that shorter runs never decay.
    config.learning_rate_decay_start = 0.4
    config.ema_decay = 0.999  # not in the paper; 0: the EMA student is the student
    config.gradient_clip_norm = 0.0  # largest norm of a network's gradients, of all devices; 0: off
    config.divergence_limit = 1e4  # a loss term beyond it, or not finite, stops the run

    config.feature_weights = config_dict.placeholder(tuple)  # None: 1 / 2 ** n, ..., 1/8, 1/4, 1
    config.pixel_weight = 0.2
    config.pixel_weight_decay = 0.01
    config.adversarial_distillation_weight = 0.01
    config.adversarial_gan_weight = 0.002
    config.discriminator_gan_weight = 0.2
    config.adversarial_interval = 5
    # The authors' program does these three; see TinyGAN.compile.
    config.reuse_teacher_features = True
    config.power_iteration_per_call = False
    config.renew_fresh_latents = False
    # False: the images of the pairs serve the GAN terms too; see TinyGAN.compile.
    config.fresh_latents = True
    # Or "relativistic": images are compared in pairs; see TinyGAN.compile.
    config.adversarial_loss = "hinge"

    config.extractor = ""  # folder, TF-Hub handle, or name of the feature extractor; "": no figures
    config.resize = ""  # kernel that brings images to the extractor's size; see load_extractor
    config.evaluation_images = 10_000
    config.evaluate_every = 0  # epochs between evaluations in training; 0: only at its end
    config.training_evaluation_images = 2_000  # in each of these
    config.monitor = "frechet_distance"  # decides which of them is the best
    config.patience = 0  # evaluations without a better one, after which training stops; 0: never
    # A class whose images differ, in the mean, by less than this share of what the teacher's do has collapsed
    # when that lasts for some epochs; 0: nobody looks. Then "warn", "stop", or "roll_back": to the last good
    # state, with both rates times collapse_rate_factor, so many times at most; after that it stops.
    config.collapse_share = 0.0
    config.collapse_epochs = 3
    config.on_collapse = "warn"
    config.collapse_rate_factor = 0.5
    config.collapse_roll_backs = 3
    # Folder of a finished student, reported beside this one: by its own evaluation, if that has one protocol
    # with this run's, else by a new one.
    config.reference_student = ""

    # Where the figures of epochs go, separated by commas: csv, tensorboard, wandb and mlflow (extras).
    config.trackers = "tensorboard,csv"

    # "one"; "mirrored": all of this host; "multi_worker": all of the hosts that TF_CONFIG names; "auto":
    # mirrored when there are several GPUs.
    config.devices = "auto"
    config.synchronized_batch_norm = True  # statistics over all replicas, where there are several
    config.jit_compile = "auto"  # XLA "on", "off", or "auto": on a single GPU only
    config.steps_per_execution = 1  # steps between two looks of the host at the devices
    # Or "mixed_bfloat16", "mixed_float16"; "auto": bfloat16 where the GPU or the processor multiplies in it.
    config.dtype_policy = "float32"
    config.debug = False  # the same run, ended in a minute: few steps, few images
    return config


FREE = ("checkpoint_minutes", "trackers")
"""Settings that a run may change on its way, as they change nothing of what comes out."""


def former_config() -> ConfigDict:
    """Returns the defaults, with what a run did before a setting existed where that was another thing."""
    config = default_config()
    config.reuse_teacher_features = False
    return config


def load_config(path, defaults=default_config) -> ConfigDict:
    """Returns what the function `get_config` of a config file returns, completed with the defaults."""
    path = user_path(path)
    if is_url(path) or not path.is_file():
        raise MissingFileError(
            f"Got --config={path}, which is no file here. Expected a Python file with a function get_config, "
            "such as experiments/fashion_mnist/config.py; of others, copy it and read it, as it is run."
        )
    get_config = runpy.run_path(os.fspath(path), run_name="config").get("get_config")
    config = get_config() if callable(get_config) else None
    if not isinstance(config, ConfigDict):
        raise InputError(
            f"Got the config file {path} without a function get_config that returns a ConfigDict, such as "
            "that of tinygan_keras.default_config(). Correct the file."
        )
    complete = defaults()
    for name in complete:
        if name not in config:
            config[name] = complete.get_ref(name)  # which keeps the type where the value is None
    return config


def validate(config, defaults=default_config, **choices) -> ConfigDict:
    """Returns a checked copy of a `ConfigDict` or dict, with all defaults, and of debug size if so set."""
    given = config.to_dict() if isinstance(config, ConfigDict) else dict(config)
    complete = defaults()
    for name, value in given.items():
        if name not in complete:
            raise InputError(unknown_setting(name, complete))
        try:
            complete[name] = value
        except TypeError as error:
            raise InputError(
                f"Got {name}={value!r}. Expected a value like {defaults()[name]!r}."
            ) from error
    for name in filter(complete.__contains__, PATHS):
        complete[name] = os.fspath(user_path(complete[name])) if complete[name] else ""
    for names, expected, fix in _mistakes(complete, _CHOICES | choices):
        got = " and ".join(f"{name}={complete[name]!r}" for name in names.split())
        raise InputError(f"Got {got}. Expected {expected}. {fix}.")
    # Sample k of the teacher is the picture of the seed `seed + k`; each of 7 is a stream of the training.
    check_sample_seed(complete, complete.seed, max(7, complete.get("teacher_samples", 0)))
    if complete.debug:
        complete.steps, complete.steps_per_epoch = 20, 10
        complete.steps_per_execution = math.gcd(complete.steps_per_execution, 10)
        complete.batch_size = min(complete.batch_size, 8)
        if "accumulate_steps" in complete:
            pieces = math.gcd(complete.accumulate_steps, complete.batch_size)
            complete.accumulate_steps = pieces
        for name in ("teacher_samples", "evaluation_images", "training_evaluation_images"):
            if name in complete:
                complete[name] = min(complete[name], 64)
    return complete


def unknown_setting(name: str, known) -> str:
    """The message for a setting that doesn't exist, with the nearest name that does."""
    fix = nearest_name(name, known) or " default_config() lists them all."
    return f"Got the setting {name!r}. Expected one that exists.{fix}"


def differences(config: dict, other: dict) -> list:
    """Returns one line for every setting that differs between two plain configs."""
    both = {name: (config.get(name), other.get(name)) for name in sorted({*config, *other})}
    return [f"{name}: {one!r}, was {two!r}" for name, (one, two) in both.items() if one != two]


def epochs(config) -> int:
    """Number of epochs; a run shorter than one epoch is one short epoch."""
    return max(1, config.steps // config.steps_per_epoch)


def check_sample_seed(config, first: int, count: int):
    """Refuses pictures to measure that have seeds of the training, `count` of them from `first` on."""
    images = max(config.evaluation_images, config.training_evaluation_images)
    if config.sample_seed < first + count and first < config.sample_seed + images:
        raise InputError(
            f"Got sample_seed={config.sample_seed} with {images:,} images to evaluate, and {count:,} seeds "
            f"from {first} on in the training. Expected latents that it isn't trained on. Set "
            f"sample_seed={first + count} or more."
        )


_RANGES = {
    "a TF-Hub handle or a folder": (bool, "teacher"),
    "a number in (0, 1]": (lambda value: 0 < value <= 1, "truncation"),
    "a number in (0, 1)": (lambda value: 0 < value < 1, "collapse_rate_factor"),
    "a number in [0, 1)": (lambda value: 0 <= value < 1, "beta_1 beta_2 ema_decay"),
    "a number in [0, 1]": (
        lambda value: 0 <= value <= 1,
        "learning_rate_decay_start collapse_share",
    ),
    "more than 0": (
        lambda value: value > 0,
        "g_learning_rate d_learning_rate adam_epsilon divergence_limit",
    ),
    "0 or more": (
        lambda value: value >= 0,
        "feature_weights pixel_weight pixel_weight_decay adversarial_distillation_weight "
        "adversarial_gan_weight discriminator_gan_weight gradient_clip_norm seed sample_seed "
        "teacher_samples evaluate_every patience attention_size checkpoint_minutes",
    ),
    "1 or more": (
        lambda value: value >= 1,
        "image_size batch_size accumulate_steps adversarial_interval steps steps_per_epoch "
        "steps_per_execution collapse_epochs collapse_roll_backs latent_dim embedding_dim "
        "generator_channels discriminator_channels d_steps",
    ),
    # The covariance of features needs them.
    "2 or more": (lambda value: value >= 2, "evaluation_images training_evaluation_images"),
}
TRACKERS = ("tensorboard", "csv", "wandb", "mlflow")


def tracker_names(text) -> list:
    """The trackers of the setting `trackers`."""
    return [word.strip() for word in text.split(",")] if text else []


_CHOICES = {
    "student": tuple(STUDENTS),
    "discriminator": tuple(DISCRIMINATORS),
    "adversarial_loss": ("hinge", "relativistic"),
    "monitor": MONITORS,
    "on_collapse": ("warn", "stop", "roll_back"),
    "devices": ("auto", "one", "mirrored", "multi_worker"),
    "jit_compile": ("auto", "on", "off"),
    "dtype_policy": ("auto", "float32", "mixed_bfloat16", "mixed_float16"),
}


def _mistakes(config, choices):
    """Yields settings that are wrong or don't go together, what is expected of them, and the fix."""
    for expected, (fits, names) in _RANGES.items():
        for name in filter(config.__contains__, names.split()):
            values = config[name] if isinstance(config[name], tuple) else (config[name],)
            if not all(value is None or fits(value) for value in values):
                yield name, expected, f"Set --config.{name}"
    for name, possible in choices.items():
        if name in config and config[name] not in possible:
            yield name, f"one of {', '.join(map(str, possible))}", f"Set --config.{name}"
    per_epoch = min(config.steps, config.steps_per_epoch)
    whole = config.steps - config.steps % config.steps_per_epoch
    without_real = config.data == "none" and config.monitor not in MONITORS_WITHOUT_REAL
    samples = config.get("teacher_samples", 0)
    if samples and config.teacher_cache:
        yield "teacher_samples teacher_cache", "one of them", "Set teacher_samples=0"
    if config.get("teacher") == "none" and not config.teacher_cache:
        yield "teacher teacher_cache", "a teacher, or a cache of one", "Set one of them"
    if 0 < samples < config.batch_size:
        yield "teacher_samples batch_size", "at least one batch of samples", "Set teacher_samples=0"
    if not set(tracker_names(config.trackers)) <= set(TRACKERS):
        yield "trackers", f"some of {', '.join(TRACKERS)}, separated by commas", "Correct it"
    if config.batch_size % config.get("accumulate_steps", 1):
        names = "batch_size accumulate_steps"
        yield names, "a batch of pieces of one size", "Change one of them"
    if config.evaluate_every and not config.extractor:
        fix = "Set extractor, or evaluate_every=0"
        yield "evaluate_every extractor", "a feature extractor to measure with", fix
    if config.evaluate_every and without_real:
        expected = f"one of {', '.join(MONITORS_WITHOUT_REAL)}: the others need real images"
        yield "monitor data", expected, "Set monitor or data, or evaluate_every=0"
    if config.get("on_collapse") == "roll_back" and config.devices == "multi_worker":
        expected = "a run of one host, which alone goes back"
        yield "on_collapse devices", expected, "Set on_collapse to 'warn' or 'stop'"
    if config.patience and not config.evaluate_every:
        yield "patience evaluate_every", "evaluations to be patient about", "Set evaluate_every"
    if not config.debug and per_epoch % config.steps_per_execution:
        names = "steps_per_execution steps steps_per_epoch"
        yield names, f"a divisor of the {per_epoch} steps of an epoch", "Change one of them"
    if whole and whole != config.steps:
        fix = f"Set steps={whole} or {whole + config.steps_per_epoch}, or change steps_per_epoch"
        yield "steps steps_per_epoch", "whole epochs", fix
