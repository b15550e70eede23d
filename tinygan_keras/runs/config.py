"""Every setting of a distillation run, with the paper's value as its default.

Scope: plain data, no TensorFlow. A config file is a Python file whose `get_config()` starts from
`default_config()` and changes what it wants; the command line changes single settings on top of
that (`--config.steps=200`).

Rejected: groups of settings. Nearly every name says where it belongs, and is shorter to override.
"""

import difflib
import math
import os
import runpy

from ml_collections import ConfigDict, config_dict

from ..errors import InputError, MissingFileError
from ..evaluation.metrics import MONITORS, MONITORS_WITHOUT_REAL
from ..files import user_path
from ..networks.presets import DISCRIMINATORS, STUDENTS

DATA_SETS = ("fashion_mnist", "none")
"""Names of `data` beside folders, files, and `tfds:NAME` and `keras:NAME`."""
PATHS = ("teacher", "data", "data_subset", "teacher_cache", "extractor", "reference_student")
"""The settings that may be paths, in which ~ is the home folder."""
LOSS_SETTINGS = (
    "feature_weights",
    "pixel_weight",
    "pixel_weight_decay",
    "adversarial_distillation_weight",
    "adversarial_gan_weight",
    "discriminator_gan_weight",
    "adversarial_interval",
)
"""The settings that are keywords of `TinyGAN.compile`."""


def default_config() -> ConfigDict:
    """Returns every setting, at the value of Chang & Lu, arXiv:2009.13829, where they have one.

    Three things differ, because ImageNet is not at hand: all classes of the teacher (the paper: 398
    animals), a live teacher (the paper: stored images), and no real images.
    """
    config = ConfigDict()
    config.name = "tinygan"
    config.seed = 0  # weights, order of the data, latents of the training
    config.sample_seed = 2**40  # of pictures and evaluation; beyond those of any training or cache

    config.teacher = "https://tfhub.dev/deepmind/biggan-deep-128/1"  # or a folder
    config.truncation = 0.5
    config.image_size = config_dict.placeholder(int)  # None: the teacher's

    config.student = "tinygan_128"  # a preset; see StudentGenerator.presets()
    config.student_overrides = ConfigDict()  # constructor arguments that differ from the preset
    config.discriminator = "tinygan_128"
    config.discriminator_overrides = ConfigDict()

    # "none": no real images, no GAN terms; "fashion_mnist", "tfds:imagenet2012", "keras:cifar10", a folder
    # with a sub-folder per class, or an .npz file.
    config.data = "none"
    config.data_subset = ""  # the file to read when Fashion-MNIST is not on this machine
    config.horizontal_flip = False  # of real images, at random
    config.classes = ""  # "": all; "animals", "0-9,17" or names: of teacher and real images
    config.teacher_samples = 0  # generated once, before training; 0: a live teacher in every step
    config.teacher_cache = ""  # or a folder of `tinygan cache`, generated long before

    config.batch_size = 32
    config.steps = 741_600  # 30 epochs of 791 thousand teacher images
    config.steps_per_epoch = 24_720  # a checkpoint, a picture and a step of the pixel weight
    config.g_learning_rate = 2e-4
    config.d_learning_rate = 2e-4
    config.beta_1 = 0.0
    config.beta_2 = 0.9
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

    config.extractor = ""  # folder, TF-Hub handle, or name of the feature extractor; "": no figures
    config.resize = ""  # kernel that brings images to the extractor's size; see load_extractor
    config.evaluation_images = 10_000
    config.evaluate_every = 0  # epochs between evaluations in training; 0: only at its end
    config.training_evaluation_images = 2_000  # in each of these
    config.monitor = "frechet_distance"  # decides which of them is the best
    config.patience = 0  # evaluations without a better one, after which training stops; 0: never
    config.reference_student = ""  # folder of a finished student, reported beside this one

    # "one"; "mirrored": all of this host; "multi_worker": all of the hosts that TF_CONFIG names; "auto":
    # mirrored when there are several GPUs.
    config.devices = "auto"
    config.synchronized_batch_norm = True  # statistics over all replicas, where there are several
    config.jit_compile = "auto"  # XLA "on", "off", or "auto": on a single GPU only
    config.steps_per_execution = 1  # steps between two looks of the host at the devices
    config.dtype_policy = "float32"  # or "mixed_bfloat16", "mixed_float16"
    config.debug = False  # the same run, ended in a minute: few steps, few images
    return config


def load_config(path) -> ConfigDict:
    """Returns what the function `get_config` of a config file returns, completed with the defaults.

    Raises:
        MissingFileError: there is no such file.
        InputError: it has no such function, or that returns something else than settings.
    """
    path = user_path(path)
    if not path.is_file():
        raise MissingFileError(
            f"Got --config={path}, which doesn't exist. Expected a Python file with a function get_config, "
            "such as experiments/fashion_mnist/config.py."
        )
    get_config = runpy.run_path(os.fspath(path), run_name="config").get("get_config")
    config = get_config() if callable(get_config) else None
    if not isinstance(config, ConfigDict):
        raise InputError(
            f"Got the config file {path} without a function get_config that returns a ConfigDict. Expected "
            "one that starts from tinygan_keras.default_config(). Correct the file."
        )
    defaults = default_config()
    for name in defaults:
        if name not in config:
            config[name] = defaults.get_ref(name)  # which keeps the type where the value is None
    return config


def validate(config) -> ConfigDict:
    """Checks a config and completes it with the defaults.

    Args:
        config: `ConfigDict` or dict; settings that are left out take their default.

    Returns:
        A new, complete `ConfigDict`, at debug size if `debug` is set.

    Raises:
        InputError: a setting is unknown, of the wrong type, or out of range.
    """
    given = config.to_dict() if isinstance(config, ConfigDict) else dict(config)
    complete = default_config()
    for name, value in given.items():
        if name not in complete:
            raise InputError(unknown_setting(name, complete))
        try:
            complete[name] = value
        except TypeError as error:
            raise InputError(
                f"Got {name}={value!r}. Expected a value like {default_config()[name]!r}."
            ) from error
    for name in PATHS:
        complete[name] = os.fspath(user_path(complete[name])) if complete[name] else ""
    _check_values(complete)
    return _debug_size(complete) if complete.debug else complete


def unknown_setting(name: str, known) -> str:
    """The message for a setting that doesn't exist, with the nearest name that does."""
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    fix = f"Did you mean {nearest[0]!r}?" if nearest else "default_config() lists them all."
    return f"Got the setting {name!r}. Expected one that exists. {fix}"


def differences(config: dict, other: dict) -> list:
    """Returns one line for every setting that differs between two plain configs."""
    names = sorted({*config, *other})
    return [
        f"{name}: {config.get(name)!r}, was {other.get(name)!r}"
        for name in names
        if config.get(name) != other.get(name)
    ]


def epochs(config) -> int:
    """Number of epochs; a run shorter than one epoch is one short epoch."""
    return max(1, config.steps // config.steps_per_epoch)


_POSITIVE = ("more than 0", lambda value: value > 0)
_NOT_NEGATIVE = ("0 or more", lambda value: value >= 0)
_AT_LEAST_ONE = ("1 or more", lambda value: value >= 1)
_AT_LEAST_TWO = ("2 or more", lambda value: value >= 2)
_FRACTION = ("a number in [0, 1]", lambda value: 0 <= value <= 1)
_DECAY = ("a number in [0, 1)", lambda value: 0 <= value < 1)
_EXPECTED = {
    "teacher": ("a TF-Hub handle or a folder", bool),
    "truncation": ("a number in (0, 1]", lambda value: 0 < value <= 1),
    **dict.fromkeys(("image_size", "batch_size", "adversarial_interval"), _AT_LEAST_ONE),
    **dict.fromkeys(("steps", "steps_per_epoch", "steps_per_execution"), _AT_LEAST_ONE),
    **dict.fromkeys(("g_learning_rate", "d_learning_rate", "divergence_limit"), _POSITIVE),
    "gradient_clip_norm": _NOT_NEGATIVE,
    **dict.fromkeys(("beta_1", "beta_2", "ema_decay"), _DECAY),
    "learning_rate_decay_start": _FRACTION,
    **dict.fromkeys((name for name in LOSS_SETTINGS if "_weight" in name), _NOT_NEGATIVE),
    **dict.fromkeys(("seed", "sample_seed", "teacher_samples"), _NOT_NEGATIVE),
    **dict.fromkeys(("evaluate_every", "patience"), _NOT_NEGATIVE),
    # The covariance of features needs more than one image.
    **dict.fromkeys(("evaluation_images", "training_evaluation_images"), _AT_LEAST_TWO),
}
_CHOICES = {
    "student": tuple(STUDENTS),
    "discriminator": tuple(DISCRIMINATORS),
    "monitor": MONITORS,
    "devices": ("auto", "one", "mirrored", "multi_worker"),
    "jit_compile": ("auto", "on", "off"),
    "dtype_policy": ("float32", "mixed_bfloat16", "mixed_float16"),
}


def _check_values(config):
    for name, (expected, fits) in _EXPECTED.items():
        values = config[name] if isinstance(config[name], tuple) else (config[name],)
        if not all(value is None or fits(value) for value in values):
            raise InputError(
                f"Got {name}={config[name]!r}. Expected {expected}. Change it in the config file or "
                f"with --config.{name}=..."
            )
    for name, choices in _CHOICES.items():
        if config[name] not in choices:
            raise InputError(
                f"Got {name}={config[name]!r}. Expected one of {', '.join(choices)}. Choose one with "
                f"--config.{name}=..."
            )
    # Sample k of the teacher is the picture of the seed `seed + k`; each of 7 is a stream of the training.
    check_sample_seed(config, config.seed, max(7, config.teacher_samples))
    for wrong, names, expected in _conflicts(config):
        if wrong:
            got = " and ".join(f"{name}={config[name]!r}" for name in names.split())
            raise InputError(f"Got {got}. Expected {expected}.")


def _conflicts(config) -> tuple:
    """Settings that don't go together: whether they are so, their names, what is expected and the fix."""
    per_epoch = min(config.steps, config.steps_per_epoch)
    whole = config.steps - config.steps % config.steps_per_epoch
    without_real = config.data == "none" and config.monitor not in MONITORS_WITHOUT_REAL
    return (
        (
            config.teacher_samples and config.teacher_cache,
            "teacher_samples teacher_cache",
            "one of them. Set teacher_samples=0 to learn from the cache",
        ),
        (
            0 < config.teacher_samples < config.batch_size,
            "teacher_samples batch_size",
            "at least one batch of samples, or teacher_samples=0 for a live teacher",
        ),
        (
            config.evaluate_every and not config.extractor,
            "evaluate_every extractor",
            "the folder of a feature extractor: nothing can be measured without. Set extractor, or "
            "evaluate_every=0",
        ),
        (
            config.evaluate_every and without_real,
            "monitor data",
            f"one of {', '.join(MONITORS_WITHOUT_REAL)}: the others need real images. Set monitor or "
            "data, or evaluate_every=0",
        ),
        (
            config.patience and not config.evaluate_every,
            "patience evaluate_every",
            "evaluations to be patient about. Set evaluate_every, or patience=0",
        ),
        (
            not config.debug and per_epoch % config.steps_per_execution,
            "steps_per_execution steps steps_per_epoch",
            f"a divisor of the {per_epoch} steps of an epoch, or it would overrun its end. Change one of "
            "them",
        ),
        (
            whole and whole != config.steps,
            "steps steps_per_epoch",
            f"whole epochs. Set steps={whole} or {whole + config.steps_per_epoch}, or change "
            "steps_per_epoch",
        ),
    )


def check_sample_seed(config, first: int, count: int):
    """Refuses pictures to measure that have seeds of the training, `count` of them from `first` on."""
    images = max(config.evaluation_images, config.training_evaluation_images)
    if config.sample_seed < first + count and first < config.sample_seed + images:
        raise InputError(
            f"Got sample_seed={config.sample_seed} with {images:,} images to evaluate, and {count:,} seeds "
            f"from {first} on in the training. Expected other seeds, or it is measured on the latents "
            f"that it was trained on. Set sample_seed={first + count} or more."
        )


def _debug_size(config):
    config.steps, config.steps_per_epoch = 20, 10
    config.steps_per_execution = math.gcd(config.steps_per_execution, config.steps_per_epoch)
    config.batch_size = min(config.batch_size, 8)
    config.teacher_samples = min(config.teacher_samples, 64)
    config.evaluation_images = min(config.evaluation_images, 64)
    config.training_evaluation_images = min(config.training_evaluation_images, 64)
    return config
