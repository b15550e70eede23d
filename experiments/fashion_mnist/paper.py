"""The paper's network and objectives on Fashion-MNIST, in the minutes of the demo: to compare ours with.

Paper: Chang & Lu, TinyGAN, ACCV 2020 (arXiv:2009.13829); its objectives, at 32x32 and ten classes.
Command: tinygan distill --config=experiments/fashion_mnist/paper.py --workdir=runs/paper
Hardware: 2 CPU cores, 4 GB of memory. Wall time: at most 10 minutes.
Expected: a Frechet distance to real images of at most 6 times the teacher's (4.6 was measured), with less
than 1/16 of its parameters.

Departures from the paper, all for so short a run: higher learning rates, adversarial terms at every step
and with more weight, a short average, and a pixel weight that starts higher and fades within the run. The
class embedding starts at random, because the student's is half as long as the teacher's.
"""

from tinygan_keras import default_config


def get_config():
    config = default_config()
    config.name = "tinygan_fashion_32"

    config.teacher = "biggan_fashion_32"
    config.truncation = 1.0
    config.student = "tinygan_fashion_32"
    config.discriminator = "tinygan_fashion_32"

    config.data = "fashion_mnist"
    config.data_subset = "fashion_mnist_10k"
    config.teacher_samples = 16_000

    config.batch_size = 32
    config.steps = 2400
    config.steps_per_epoch = 200
    config.g_learning_rate = 1e-3
    config.d_learning_rate = 5e-4
    config.learning_rate_decay_start = 0.5
    config.ema_decay = 0.995

    config.pixel_weight = 0.5
    config.pixel_weight_decay = 0.04
    config.adversarial_distillation_weight = 0.02
    config.adversarial_gan_weight = 0.01
    config.adversarial_interval = 1

    config.extractor = "fashion_classifier"
    return config
