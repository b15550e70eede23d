"""Our network and recipe on CIFAR-10.

Paper: Chang & Lu, TinyGAN, ACCV 2020 (arXiv:2009.13829); its objectives, see paper.py of this folder.
Command: tinygan distill --config=experiments/cifar10/improved.py --workdir=runs/cifar10
Hardware: 2 CPU cores, 4 GB of memory. Wall time: a quarter of an hour, 12 minutes of it training.
Expected: a Frechet distance of 0.56 to real images and 0.21 to the teacher; README.md of this folder.
"""

import runpy
from pathlib import Path

HERE = Path(__file__).resolve().parent
RECIPE = (
    "fresh_latents",
    "g_learning_rate",
    "beta_1",
    "beta_2",
    "adversarial_loss",
    "adversarial_gan_weight",
    "discriminator_gan_weight",
    "pixel_weight_decay",
)


def get_config():
    config = runpy.run_path(str(HERE / "paper.py"))["get_config"]()
    config.name = "tinygan_v2_cifar10_32"
    config.student = config.discriminator = "tinygan_v2_cifar10_32"

    # The recipe of Fashion-MNIST, for its reasons.
    ours = runpy.run_path(str(HERE.parent / "fashion_mnist" / "config.py"))["get_config"]()
    for name in RECIPE:
        config[name] = ours[name]

    config.steps = 7_200  # in the time of the 4,800 of paper.py
    config.steps_per_epoch = 400
    return config
