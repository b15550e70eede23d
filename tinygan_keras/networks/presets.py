"""Constructor arguments of the named networks, as plain data.

`tinygan_128` is the network of Chang & Lu (arXiv:2009.13829). The other sizes are the same family: one
block less or more per factor of two. `tinygan_fashion_32` is the student of the embedded teacher.
"""

_IMAGENET = {"latent_dim": 128, "num_classes": 1000}
_FASHION = {"latent_dim": 32, "num_classes": 10, "embedding_dim": 16}

STUDENTS = {
    "tinygan_32": {"channels": (256, 256, 128, 64), **_IMAGENET},
    "tinygan_64": {"channels": (512, 512, 256, 128, 64), **_IMAGENET},
    "tinygan_128": {"channels": (512, 512, 256, 128, 64, 32), **_IMAGENET},
    "tinygan_256": {"channels": (512, 512, 256, 128, 64, 32, 16), **_IMAGENET},
    "tinygan_fashion_32": {"channels": (72, 72, 40, 16), **_FASHION},
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
}
