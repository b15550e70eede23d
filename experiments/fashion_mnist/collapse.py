"""A run that is made to collapse, to hear the alarm: the discriminator's rate is 20 times too high.

Paper: none. A small student and discriminator; from the fourth epoch on nothing but the GAN term holds the
student, and both optimisers have momentum.
Command: tinygan distill --config=experiments/fashion_mnist/collapse.py --workdir=runs/collapse
Healthy ones: the same with --config.d_learning_rate=5e-3 --config.g_learning_rate=1e-3 --config.beta_1=0.0
Hardware: 2 CPU cores, 2 GB of memory. Wall time: a minute.
Expected: the alarm names a class and ends the run; in the healthy ones it says nothing. Figures:
docs/long_runs.md.
"""

import runpy
from pathlib import Path


def get_config():
    config = runpy.run_path(str(Path(__file__).with_name("paper.py")))["get_config"]()
    config.name = "collapse"
    config.student_overrides.channels = (32, 32, 24, 12)
    config.discriminator_overrides.channels = (16, 32, 64)
    config.teacher_samples = 512
    config.batch_size = 16
    config.steps, config.steps_per_epoch = 300, 30
    config.learning_rate_decay_start = 1.0
    config.ema_decay = 0.98

    # The distances between pairs hold a student: with them no run collapsed.
    config.feature_weights = (0.0, 0.0, 0.0)
    config.pixel_weight, config.pixel_weight_decay = 0.5, 0.17
    config.adversarial_distillation_weight = 0.0
    config.adversarial_gan_weight = 1.0
    config.beta_1 = 0.95
    config.g_learning_rate = 1e-2
    config.d_learning_rate = 1e-1  # healthy: 5e-3

    config.collapse_share = 0.5
    config.on_collapse = "stop"
    config.evaluation_images = 100
    config.trackers = "csv"
    return config
