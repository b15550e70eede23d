"""The paper's recipe at 64 px: a student of biggan-deep-128's halved images, on the animal classes.

Paper: Chang & Lu, TinyGAN, ACCV 2020 (arXiv:2009.13829); its values. The paper has no run at this size; the
networks are its family with one block less (`tinygan_64`).
Command: tinygan distill --config=experiments/imagenet_64/paper.py --workdir=runs/imagenet_64_paper
    after the teacher (make_teacher.py), the cache of its images and the real images are made, see README.md.
Hardware: one GPU with 8 GB; 17 GB of disk for cache and real images, and ImageNet. Wall time: 12 to 19 hours,
estimated and not run.
Expected: unknown; no figure is published.
"""

import runpy
from pathlib import Path

PAPER = Path(__file__).resolve().parent.parent / "imagenet_128" / "paper.py"


def at_64_px(config):
    """Puts the networks and the teacher of 64 px into a config of 128 px."""
    config.name = "tinygan_imagenet_64"
    config.teacher = "runs/biggan_deep_64"
    config.teacher_cache = "runs/cache/biggan_deep_64_animals"
    config.data = "runs/imagenet_64_animals"
    config.student = config.discriminator = "tinygan_64"
    config.feature_weights = (1 / 16, 1 / 8, 1 / 4, 1.0)  # a stage less than at 128 px
    return config


def get_config():
    return at_64_px(runpy.run_path(str(PAPER))["get_config"]())
