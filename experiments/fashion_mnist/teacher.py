"""The embedded teacher: a BigGAN for Fashion-MNIST at 32x32x3, ten classes.

Paper: Brock et al., BigGAN, ICLR 2019 (arXiv:1809.11096), at a size that two CPU cores train.
Command: tinygan teach --config=experiments/fashion_mnist/teacher.py --out=runs/teacher
Hardware: 2 CPU cores that multiply in bfloat16, 2 GB of memory. Wall time: 0.7 hours (2,437 s were measured).
Expected: a Frechet distance to real images of at most 1.27 (1.230 was measured), with all 60,000 images
(README.md says where they are looked for; the committed 10,000 stand in for them, and are few for a GAN).
4,500 steps with these rates made saved_models/biggan_fashion_32; the settings are the defaults of 32 pixels.
"""

from tinygan_keras import default_teacher_config


def get_config():
    config = default_teacher_config(image_size=32)
    config.name = "biggan_fashion_32"

    config.data = "fashion_mnist"
    config.data_subset = "fashion_mnist_10k"
    config.extractor = "fashion_classifier"
    return config
