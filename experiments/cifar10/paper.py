"""The paper's recipe on CIFAR-10: a student of a BigGAN that one trains oneself.

Paper: Chang & Lu, TinyGAN, ACCV 2020 (arXiv:2009.13829); its values, but for what follows from ten classes at
32 px: no truncation, because the whole of the small data set is wanted; a cache of 200,000 images, four for
each real one, of which an epoch is one pass; three stages of the discriminator.
Command: tinygan distill --config=experiments/cifar10/paper.py --workdir=runs/cifar10_paper
    after the teacher (teacher.py) and the cache of its images are made, see README.md.
Hardware: one GPU with 4 GB, 1 GB of disk; or 2 CPU cores. Wall time: 2 to 4 hours on a GPU, estimated and
not run.
Expected: unknown; no figure is published for this student.
"""

import runpy
from pathlib import Path

PAPER = runpy.run_path(str(Path(__file__).resolve().parent.parent / "imagenet_128" / "paper.py"))
AUTHORS_STEP = PAPER["AUTHORS_STEP"]


def get_config():
    config = PAPER["get_config"]()
    config.name = "tinygan_cifar10"
    config.teacher = "runs/biggan_cifar10_32"
    config.teacher_cache = "runs/cache/biggan_cifar10_32"
    config.truncation = 1.0
    config.classes = ""  # all ten
    config.data = "keras:cifar10"  # or "tfds:cifar10"

    config.student = config.discriminator = "tinygan_32"
    config.student_overrides.num_classes = config.discriminator_overrides.num_classes = 10
    config.feature_weights = (1 / 4, 1 / 2, 1.0)

    config.steps = 187_500  # 30 epochs
    config.steps_per_epoch = 6_250
    return config
