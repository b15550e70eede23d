"""The paper's network, trained until it stops improving: the student that is committed by its name.

Paper: Chang & Lu, TinyGAN, ACCV 2020 (arXiv:2009.13829).
Command: tinygan distill --config=experiments/fashion_mnist/paper_full.py --workdir=runs/paper_full
Hardware: 2 CPU cores, 4 GB of memory. Wall time: 38 minutes on one core.
Beside the departures of paper.py from the paper, real images count for more (both GAN terms): the teacher has
learned its last from them, and the student may too.
Expected: a Frechet distance to real images of at most 1.3 times the teacher's (1.21 was measured). The result
is committed as saved_models/tinygan_fashion_32.
"""

import runpy
from pathlib import Path


def get_config():
    config = runpy.run_path(str(Path(__file__).with_name("paper.py")))["get_config"]()
    config.teacher_samples = 60_000
    config.steps = 13_000
    config.steps_per_epoch = 500
    config.ema_decay = 0.999
    config.pixel_weight_decay = 0.018
    config.adversarial_gan_weight = 0.02
    config.discriminator_gan_weight = 0.5
    return config
