"""Constructor arguments of the named networks, as plain data.

`tinygan_128` is the network of Chang & Lu (arXiv:2009.13829). The other sizes are the same family: one
block less or more per factor of two. `*_fashion_32` and `*_cifar10_32` are students of the embedded teachers.

`tinygan_v2_*` are ours, of the same size: latents enter where they enter the teacher, in place of a large
dense layer; the first pointwise convolution of a block comes before its side doubles, at a quarter of the
multiply-adds; what that frees, and more, is spent on wider maps near the image. Millions of parameters and of
multiply-adds, with those of the paper's family in brackets: 1.20 and 58 (1.25 and 44) at 32 px, 2.99 and 334
(3.04 and 236) at 64, 3.05 and 440 (3.07 and 316) at 128, 3.04 and 509 (3.08 and 417) at 256; of the embedded
students 0.076 and 8.8 (0.077 and 4.5), in colour 0.084 and 9.7 (0.083 and 4.4). The evidence is in
experiments/recipes; the 8th, 32nd, 64th and 128th parts of the embedded teachers are in experiments/sizes.
"""

_IMAGENET = {"latent_dim": 128, "num_classes": 1000}
_FASHION = {"latent_dim": 32, "num_classes": 10, "embedding_dim": 16}
_CIFAR10 = {"latent_dim": 64, "num_classes": 10, "embedding_dim": 16}
_PIECES = {"latents": "pieces", "pointwise_first": True}  # as BigGAN
_EVERYWHERE = {"latents": "everywhere", "pointwise_first": True}  # as BigGAN-deep
_GREY = {**_PIECES, **_FASHION, "image_channels": 1}
_COLOUR = {**_PIECES, **_CIFAR10}
_SHORT = {"embedding_dim": 8}  # conditional norms take most of the small ones, and grow with it

STUDENTS = {
    "tinygan_32": {"channels": (256, 256, 128, 64), **_IMAGENET},
    "tinygan_64": {"channels": (512, 512, 256, 128, 64), **_IMAGENET},
    "tinygan_128": {"channels": (512, 512, 256, 128, 64, 32), **_IMAGENET},
    "tinygan_256": {"channels": (512, 512, 256, 128, 64, 32, 16), **_IMAGENET},
    "tinygan_fashion_32": {"channels": (72, 72, 40, 16), **_FASHION},
    "tinygan_cifar10_32": {"channels": (52, 52, 44, 18), **_CIFAR10},
    "tinygan_v2_32": {"channels": (192, 240, 192, 128), **_EVERYWHERE, **_IMAGENET},
    "tinygan_v2_64": {"channels": (320, 480, 384, 224, 128), **_EVERYWHERE, **_IMAGENET},
    "tinygan_v2_128": {"channels": (320, 480, 384, 224, 112, 56), **_EVERYWHERE, **_IMAGENET},
    "tinygan_v2_256": {"channels": (320, 480, 384, 224, 96, 48, 24), **_EVERYWHERE, **_IMAGENET},
    "tinygan_v2_fashion_32_8th": {"channels": (106, 130, 86, 86), **_GREY},
    "tinygan_v2_fashion_32": {"channels": (68, 84, 56, 56), **_GREY},
    "tinygan_v2_fashion_32_32nd": {"channels": (44, 56, 40, 40), **_GREY, **_SHORT},
    "tinygan_v2_fashion_32_64th": {"channels": (28, 34, 24, 24), **_GREY, **_SHORT},
    "tinygan_v2_fashion_32_128th": {"channels": (16, 20, 14, 14), **_GREY, **_SHORT},
    "tinygan_v2_cifar10_32_8th": {"channels": (94, 114, 84, 84), **_COLOUR},
    "tinygan_v2_cifar10_32": {"channels": (62, 76, 56, 56), **_COLOUR},
    "tinygan_v2_cifar10_32_32nd": {"channels": (40, 48, 36, 36), **_COLOUR, **_SHORT},
    "tinygan_v2_cifar10_32_64th": {"channels": (22, 28, 20, 20), **_COLOUR, **_SHORT},
    "tinygan_v2_cifar10_32_128th": {"channels": (12, 16, 12, 12), **_COLOUR, **_SHORT},
}

DISCRIMINATORS = {
    "tinygan_32": {"channels": (64, 128, 256), "image_size": 32, "num_classes": 1000},
    "tinygan_64": {"channels": (64, 128, 256, 512), "image_size": 64, "num_classes": 1000},
    "tinygan_128": {"channels": (32, 64, 128, 256, 512), "image_size": 128, "num_classes": 1000},
    "tinygan_256": {
        "channels": (16, 32, 64, 128, 256, 512),
        "image_size": 256,
        "num_classes": 1000,
    },
    "tinygan_fashion_32": {"channels": (32, 64, 128, 256), "image_size": 32, "num_classes": 10},
    "tinygan_v2_fashion_32": {"channels": (16, 32, 64, 128), "image_size": 32, "num_classes": 10},
}
# Ours has no other discriminator at these sizes.
DISCRIMINATORS |= {
    f"tinygan_v2_{size}": DISCRIMINATORS[f"tinygan_{size}"] for size in (32, 64, 128, 256)
}
# Nor do ten classes in colour need another one than ten of grey images.
DISCRIMINATORS |= {
    f"{family}_cifar10_32": DISCRIMINATORS[f"{family}_fashion_32"]
    for family in ("tinygan", "tinygan_v2")
}
