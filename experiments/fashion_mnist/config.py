"""The demo: our student of the embedded Fashion-MNIST teacher, in six minutes on two CPU cores.

Paper: Chang & Lu, TinyGAN, ACCV 2020 (arXiv:2009.13829); its objectives, with the network and the recipe that
came out of experiments/recipes. What is not said here is as in paper.py of this folder, which has the paper's
network, and lists what departs from the paper.
Command: tinygan demo, in any folder; which is
tinygan distill --config=experiments/fashion_mnist/config.py --workdir=runs/demo in a checkout
Hardware: 2 CPU cores, 4 GB of memory. Wall time: about 6 minutes.
Expected: the student's garments are those of the teacher's row above; its Frechet distance to real images is
at most 1.25 times the teacher's, with less than 1/16 of the parameters and of the multiply-adds. Figures:
README.md.
"""

import runpy
from pathlib import Path


def get_config():
    config = runpy.run_path(str(Path(__file__).with_name("paper.py")))["get_config"]()
    config.name = "tinygan_v2_fashion_32"

    # Latents enter every block, as they do in the teacher, and the maps near the image are wider.
    config.student = "tinygan_v2_fashion_32"
    # Half as wide: the steps that fit into the time saved are worth more than the width.
    config.discriminator = "tinygan_v2_fashion_32"
    # The student generates once a step, not twice: nearly twice the steps in the time.
    config.fresh_latents = False
    # Twice the student's rate: with one seed it came closer to the teacher and to real images.
    config.g_learning_rate = 2e-3
    # Some momentum, for both networks: the student came closer to both. With 0.9 it came less close.
    config.beta_1, config.beta_2 = 0.5, 0.99
    # The student's image is compared with the teacher's of the same latents, not with all others.
    config.adversarial_loss = "relativistic"
    # The adversarial terms count for more, and real images for more among them. With 0.08 and 1.0 the student
    # comes nearer to real images, and less near to its teacher's image of the same latents.
    config.adversarial_gan_weight = 0.03
    config.discriminator_gan_weight = 0.7
    config.steps = 3_000
    config.steps_per_epoch = 300
    config.pixel_weight_decay = 0.0  # not tried otherwise with this network

    config.reference_student = "tinygan_v2_fashion_32"
    return config
