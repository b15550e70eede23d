"""Our student and recipe on CIFAR-10: latents in every block, flips, adversarial terms from the first step.

Paper: Chang & Lu, TinyGAN, ACCV 2020 (arXiv:2009.13829).
Command: tinygan distill --config=experiments/cifar10/improved.py --workdir=runs/cifar10
Hardware: one GPU with 4 GB, 1 GB of disk; or 2 CPU cores. Wall time: 1 to 2 hours on a GPU, estimated and not
run.
Expected: better than paper.py of this folder. The kind of network and the weights of the loss are those of
the committed student of Fashion-MNIST; on CIFAR-10 nothing was measured.
"""

import runpy
from pathlib import Path

from tinygan_keras import default_config


def get_config():
    paper = runpy.run_path(str(Path(__file__).with_name("paper.py")))
    config = paper["get_config"]()

    # The step as it is here by default.
    for name in paper["AUTHORS_STEP"]:
        config[name] = default_config()[name]
    config.discriminator_overrides.num_classes = 10

    # As in imagenet_128/improved.py, with latents in pieces, as this teacher has them.
    config.student = "tinygan_v2_32"
    config.student_overrides = {"latents": "pieces", "num_classes": 10}
    config.fresh_latents = False

    config.batch_size = 64
    config.steps = 93_750  # as many teacher images as in paper.py
    config.steps_per_epoch = 3_125
    config.g_learning_rate = 1e-3
    config.d_learning_rate = 5e-4
    config.learning_rate_decay_start = 0.5
    config.ema_decay = 0.999
    config.horizontal_flip = True

    # Short runs and few classes: the adversarial terms count from the start, and for more.
    config.pixel_weight = 0.5
    config.pixel_weight_decay = 0.0
    config.adversarial_distillation_weight = 0.02
    config.adversarial_gan_weight = 0.03
    config.discriminator_gan_weight = 0.7
    config.adversarial_interval = 1

    config.dtype_policy = "mixed_bfloat16"
    config.steps_per_execution = 5
    return config
