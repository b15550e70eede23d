"""The paper's network and objectives on CIFAR-10, to compare ours with in equal time.

Paper: Chang & Lu, TinyGAN, ACCV 2020 (arXiv:2009.13829); its objectives, at 32x32 and ten classes.
Command: tinygan distill --config=experiments/cifar10/paper.py --workdir=runs/cifar10_paper
Hardware: 2 CPU cores, 4 GB of memory. Wall time: a quarter of an hour, 12 minutes of it training.
Expected: a Frechet distance of 1.4 to real images and 0.8 to the teacher; README.md of this folder.

Departures from the paper are those of experiments/fashion_mnist/paper.py: all for so short a run.
"""

import runpy
from pathlib import Path

FASHION_MNIST = Path(__file__).resolve().parent.parent / "fashion_mnist"


def get_config():
    config = runpy.run_path(str(FASHION_MNIST / "paper.py"))["get_config"]()
    config.name = "tinygan_cifar10_32"

    config.teacher = "biggan_cifar10_32"
    config.teacher_samples = 40_000
    config.student = config.discriminator = "tinygan_cifar10_32"

    config.data = "keras:cifar10"
    config.data_subset = ""
    config.horizontal_flip = True
    config.extractor = "cifar10_classifier"

    config.steps = 4_800
    config.steps_per_epoch = 400
    config.ema_decay = 0.998
    return config
