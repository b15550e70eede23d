"""A teacher for CIFAR-10: a BigGAN at 32x32 in colour, ten classes, latents of 64.

Paper: Brock et al., BigGAN, ICLR 2019 (arXiv:1809.11096), at a size that two CPU cores train.
Command: tinygan teach --config=experiments/cifar10/teacher.py --out=runs/biggan_cifar10_32
Hardware: 2 CPU cores that multiply in bfloat16, 2 GB of memory. Wall time: 1.6 hours.
Expected: cars, ships, horses, frogs and so on that one can tell apart; cats and dogs are harder.
The result is committed as saved_models/biggan_cifar10_32; the other settings are the defaults of 32 pixels.
"""

from tinygan_keras import default_teacher_config


def get_config():
    config = default_teacher_config(image_size=32)
    config.name = "biggan_cifar10_32"

    config.data = "keras:cifar10"
    config.horizontal_flip = True

    # More to draw than garments: more latents, a longer class embedding, a wider discriminator, more steps.
    config.latent_dim = config.embedding_dim = 64
    config.discriminator_channels = (48, 96, 160, 224)
    config.steps = 20_000
    return config
