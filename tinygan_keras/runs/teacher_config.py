"""Every setting of the training of a teacher, by the size of its images. Imports no TensorFlow."""

import functools
import shlex

from ml_collections import ConfigDict

from ..errors import InputError
from .config import validate

# A quarter of BigGAN's feature maps and less, so that two CPU cores or one small GPU can train it; the pieces
# of z get longer with the size, as BigGAN's do. The student has a sixteenth of its parameters.
SIZES = {
    32: {
        "latent_dim": 32,
        "embedding_dim": 32,
        "generator_channels": (256, 192, 96, 32),
        "discriminator_channels": (32, 64, 128, 192),
        "attention_size": 16,
        "steps": 6_000,
    },
    64: {
        "latent_dim": 80,
        "embedding_dim": 64,
        "generator_channels": (256, 256, 192, 96, 32),
        "discriminator_channels": (32, 64, 128, 192, 256),
        "attention_size": 32,
        "steps": 20_000,
    },
    128: {
        "latent_dim": 120,
        "embedding_dim": 128,
        "generator_channels": (384, 384, 256, 192, 96, 32),
        "discriminator_channels": (32, 64, 128, 192, 256, 384),
        "attention_size": 32,
        "steps": 50_000,
    },
}

_STUDENTS = {  # what of the recipe of a student depends on the size of the images
    32: {"channels": (64, 64, 64, 48), "samples": 60_000, "steps": 24_000, "rate": 2e-3},
    64: {"channels": (64, 80, 72, 56, 48), "samples": 40_000, "steps": 30_000, "rate": 1e-3},
    128: {"channels": (96, 104, 96, 80, 64, 48), "samples": 15_000, "steps": 60_000, "rate": 1e-3},
}
_STUDENT_SETTINGS = {  # those of experiments/cifar10, as is the rate at 32 px
    "steps_per_epoch": 500,
    "d_learning_rate": 5e-4,
    "learning_rate_decay_start": 0.5,
    "fresh_latents": False,
    "pixel_weight": 0.5,
    "pixel_weight_decay": 0.0,
    "adversarial_distillation_weight": 0.02,
    "adversarial_gan_weight": 0.03,
    "discriminator_gan_weight": 0.7,
    "adversarial_interval": 1,
}


def default_teacher_config(image_size: int = 32) -> ConfigDict:
    """Returns every setting of `teach`: those of the embedded teacher, grown for larger images.

    Args:
        image_size: 32, 64 or 128.

    Raises:
        InputError: another size.

    Example:
        >>> default_teacher_config(64).generator_channels
        (256, 256, 192, 96, 32)
    """
    if image_size not in SIZES:
        sizes = ", ".join(map(str, SIZES))
        raise InputError(
            f"Got image_size={image_size!r}. Expected one of {sizes}: there are networks of these sizes. "
            "Images are cropped and resized to the one you choose."
        )
    config = ConfigDict()
    config.name = "biggan"
    config.seed = 0  # weights, order of the data, latents of the training
    config.sample_seed = 2**40  # of pictures and evaluation

    # "fashion_mnist", "tfds:NAME", "keras:cifar10", a folder with a sub-folder per class, an .npz file with
    # labels, or what `tinygan prepare` wrote.
    config.data = ""
    config.data_subset = ""  # the file to read when Fashion-MNIST is not on this machine
    config.image_size = image_size
    config.classes = ""  # "": all; "0-9,17" or names
    config.horizontal_flip = False  # of real images, at random
    config.image_channels = 3  # 1: the images are grey, and so are those of the teacher

    config.update(SIZES[image_size])  # attention_size 0: no attention
    config.steps_per_epoch = 250  # a checkpoint and a picture
    config.checkpoint_minutes = 10.0  # between checkpoints inside an epoch; 0: at its end only
    config.batch_size = 64
    config.d_steps = 1  # updates of the discriminator, each on new images, per generator's
    config.g_learning_rate = 3e-4
    config.d_learning_rate = 4e-4
    config.beta_1 = 0.0
    config.beta_2 = 0.99
    config.adam_epsilon = 1e-6
    config.learning_rate_decay_start = 2 / 3  # of the run: then both rates fall linearly to 0
    config.ema_decay = 0.999
    config.gradient_clip_norm = 0.0  # largest norm of a network's gradients; 0: off
    config.divergence_limit = 1e4  # a loss beyond it, or not finite, stops the run

    config.truncation = 1.0  # of pictures and evaluation, and what the teacher's folder proposes
    config.extractor = ""  # folder, TF-Hub handle, or name of the feature extractor; "": no figures
    config.resize = ""  # kernel that brings images to the extractor's size; see load_extractor
    config.evaluation_images = 10_000
    config.evaluate_every = 0  # epochs; the best becomes the teacher; 0: only in the end
    config.training_evaluation_images = 2_000  # in each of these
    config.monitor = "frechet_distance"  # decides which of them is the best
    config.patience = 0  # evaluations without a better one, after which training stops; 0: never

    config.trackers = "tensorboard,csv"  # of the figures of epochs; wandb and mlflow too (extras)
    config.steps_per_execution = 1  # steps between two looks of the host at the device
    config.dtype_policy = "auto"  # "float32", "mixed_bfloat16", or "auto": what is fast here
    config.debug = False  # the same run, ended in a minute: few steps, few images
    return config


def former_teacher_config(image_size: int = 32) -> ConfigDict:
    """Returns the defaults, with what a run did before a setting existed where that was another thing."""
    config = default_teacher_config(image_size)
    config.adam_epsilon = 1e-7
    return config


def validate_teacher_config(config) -> ConfigDict:
    """Returns a checked copy of a `ConfigDict` or dict; see `config.validate`."""
    size = config.get("image_size", 32)
    defaults = functools.partial(default_teacher_config, size)
    policies = ("auto", "float32", "mixed_bfloat16")
    config = validate(config, defaults, dtype_policy=policies, image_channels=(1, 3))
    if config.data in ("", "none"):
        raise InputError(
            "Got no real images. Expected --data: a folder with a sub-folder per class, fashion_mnist, "
            "keras:cifar10, tfds:NAME, an .npz with labels, or what tinygan prepare wrote."
        )
    stages = size.bit_length() - 2
    for name in ("generator_channels", "discriminator_channels"):
        if len(config[name]) != stages:
            raise InputError(
                f"Got {name}={config[name]} with image_size={size}. Expected {stages} numbers, from 4x4 "
                f"pixels to {size}x{size}. Change one of them; --image_size takes all settings of a size."
            )
    attended = dict(zip(_sides(size), config.generator_channels, strict=True))
    if config.attention_size and attended.get(config.attention_size, 0) < 8:
        raise InputError(
            f"Got attention_size={config.attention_size} and generator_channels={config.generator_channels}. "
            f"Expected the side of a feature map ({', '.join(map(str, attended))}) of 8 channels or more, or "
            "0 for no attention. Change one of them."
        )
    return config


def _sides(image_size) -> list:
    """The sides of the feature maps of a generator."""
    return [4 * 2**stage for stage in range(image_size.bit_length() - 2)]


def student_config_text(config, folder, num_classes: int, classes=None) -> str:
    """A config file of `tinygan distill`: a student of the teacher in this folder, on the same images.

    `classes` are those that the teacher was trained on; None for all.
    """
    size, place = config.image_size, shlex.quote(str(folder))
    student = _STUDENTS[size]
    kept = (
        "data",
        "data_subset",
        "horizontal_flip",
        "truncation",
        "extractor",
        "resize",
    )
    settings = {
        "name": f"{config.name}_student",
        **{name: config[name] for name in kept},
        "classes": config.classes or ",".join(map(str, classes or ())),
        "teacher_samples": student["samples"],
        "student": f"tinygan_v2_{size}",
        "student_overrides": {
            "channels": student["channels"],
            "latents": "pieces",  # as the teacher has them
            "latent_dim": config.latent_dim,
            "embedding_dim": config.embedding_dim,  # to start from the teacher's class embedding
            "num_classes": num_classes,
            "image_channels": config.image_channels,
        },
        "discriminator": f"tinygan_{size}",
        "discriminator_overrides": {
            "channels": tuple(16 * 2**stage for stage in range(len(student["channels"]) - 1)),
            "num_classes": num_classes,
        },
        "steps": student["steps"],
        "g_learning_rate": student["rate"],
        **_STUDENT_SETTINGS,
    }
    lines = "\n".join(f"    config.{name} = {value!r}" for name, value in settings.items())
    return f'''"""A student of the teacher in this folder, about a sixteenth of its size. Edit it as you like.

Command: tinygan distill --config={place}/distill.py --workdir={place}_student
"""

from pathlib import Path

from tinygan_keras import default_config


def get_config():
    config = default_config()
    config.teacher = str(Path(__file__).parent)
{lines}
    return config
'''
