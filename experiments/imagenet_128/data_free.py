"""No real image at all: the student learns from the teacher's images alone.

Paper: Chang & Lu, TinyGAN, ACCV 2020 (arXiv:2009.13829), without its two GAN terms, lambda_3 and lambda_4.
Command: tinygan distill --config=experiments/imagenet_128/data_free.py --workdir=runs/imagenet_128_data_free
Hardware: as improved.py, without ImageNet. Wall time: a little less than improved.py's, since the
discriminator sees two thirds of the images. Estimated and not run.
Expected: a student bounded by its teacher, because the discriminator sees nothing better.

Everything else is improved.py's, so that the two runs tell what real images add.
"""

import runpy
from pathlib import Path


def get_config():
    config = runpy.run_path(str(Path(__file__).with_name("improved.py")))["get_config"]()
    config.data = "none"
    config.horizontal_flip = False
    return config
