"""A teacher for CIFAR-10: a BigGAN at 32x32, ten classes, latents of 128.

Paper: Brock et al., BigGAN, ICLR 2019 (arXiv:1809.11096), at the widths of github.com/ajbrock/BigGAN-PyTorch
for CIFAR-10.
Command: tinygan teach --config=experiments/cifar10/teacher.py --out=runs/biggan_cifar10_32
Hardware: one GPU with 8 GB. Wall time: 3 to 6 hours, estimated and not run; on CPUs a matter of days.
Expected: not known. The rates are those with which a narrower teacher, on two CPU cores, drew animals and
vehicles that one can tell apart after 5,000 steps.

Latents and class embedding are as long as those of biggan-deep, so the student's networks are the same and
its class embedding starts from the teacher's.
"""

from tinygan_keras import default_teacher_config


def get_config():
    config = default_teacher_config(image_size=32)
    config.name = "biggan_cifar10_32"

    config.data = "keras:cifar10"
    config.horizontal_flip = True

    config.latent_dim = config.embedding_dim = 128
    config.generator_channels = config.discriminator_channels = (256, 256, 256, 256)
    config.steps = 100_000
    config.steps_per_epoch = 1_000
    return config
