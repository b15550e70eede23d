"""The paper's run: a student of biggan-deep-128 on the 398 animal classes of ImageNet.

Paper: Chang & Lu, TinyGAN, ACCV 2020 (arXiv:2009.13829); every value is the paper's.
Command: tinygan distill --config=experiments/imagenet_128/paper.py --workdir=runs/imagenet_128_paper
    after the cache of teacher images is made, and the real images are prepared, see README.md.
Hardware: one GPU with 8 GB; 65 GB of disk for the cache and the prepared images, and ImageNet. Wall time:
16 to 25 hours, estimated and not run; README.md says how.
Expected: the paper's FID 24.2 and intra-FID 79.1 on the animals (teacher: 19.8 and 55.6), with 3.1 of its
50.4 million parameters. Not measured here, for lack of ImageNet, a GPU and the real teacher.

A step is the authors' program's, down to what the paper doesn't say (`AUTHORS_STEP`): from the same weights,
its losses agree with `experiments/pytorch_twin/authors_step.py` to 1e-4, its gradients to 1e-3. README.md
lists what still differs.
Paths are relative to the top of the checkout.
"""

from tinygan_keras import default_config

AUTHORS_STEP = {  # what their program does and the paper doesn't say
    "reuse_teacher_features": True,
    "power_iteration_per_call": True,
    "renew_fresh_latents": True,
    "adam_epsilon": 1e-8,
    "student_overrides": {"start_at_identity": False},
    "discriminator_overrides": {"class_table_stddev": 1.0},
}


def get_config():
    config = default_config()
    config.name = "tinygan_imagenet_128"

    config.teacher = "https://tfhub.dev/deepmind/biggan-deep-128/1"
    config.teacher_cache = "runs/cache/biggan_deep_128_animals"  # 791,040 images
    config.truncation = 0.5
    config.classes = "animals"
    config.student = "tinygan_128"
    config.discriminator = "tinygan_128"

    config.data = "runs/imagenet_128_animals"  # of tinygan prepare, see README.md
    config.horizontal_flip = False

    config.batch_size = 32
    config.steps = 741_600  # 30 epochs
    config.steps_per_epoch = 24_720  # one pass over the cache
    config.g_learning_rate = 2e-4
    config.d_learning_rate = 2e-4
    config.beta_1 = 0.0
    config.beta_2 = 0.9
    config.learning_rate_decay_start = 300_000 / 741_600
    config.ema_decay = 0.0

    config.feature_weights = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)  # alpha_i, image side first
    config.pixel_weight = 0.2  # lambda_1, less after every epoch
    config.pixel_weight_decay = 0.01
    config.adversarial_distillation_weight = 0.01  # lambda_2
    config.adversarial_gan_weight = 0.002  # lambda_3
    config.discriminator_gan_weight = 0.2  # lambda_4
    config.adversarial_interval = 5
    config.update(AUTHORS_STEP)

    config.dtype_policy = "float32"
    config.steps_per_execution = (
        10  # changes no figure: the host looks at the device every tenth step
    )
    return config
