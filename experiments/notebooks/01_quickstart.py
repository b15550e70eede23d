# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Distil a GAN with `model.fit()`
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/tinygan-keras/blob/main/experiments/notebooks/01_quickstart.ipynb)
#
# A **teacher** (a BigGAN of 1.25 million parameters that draws Fashion-MNIST) is a black box to us: latents
# and labels go in, images come out. A **student** a sixteenth of its size learns to draw the same image
# for the same input, with a **discriminator** that watches over details. The objectives are those of
# TinyGAN ([Chang & Lu, 2020](https://arxiv.org/abs/2009.13829)).
#
# In a clone of the repository, install with `pip install -e '.[notebook]'`. This notebook is generated from
# `01_quickstart.py` (edit that) and executed by `execute.py`.

# %%
# Installs the package where it is missing, as in Colab.
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("tinygan_keras") is None:
    package = "tinygan-keras[evaluation] @ git+https://github.com/OWNER/tinygan-keras"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", package], check=True)

# %%
import os
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np

import tinygan_keras as tg

DEBUG = "TINYGAN_DEBUG" in os.environ  # a minute instead of five
STEPS_PER_EPOCH, EPOCHS, SAMPLES = (5, 2, 256) if DEBUG else (300, 10, 16_000)

# %% [markdown]
# ## The teacher
#
# `HubTeacher` loads a TF-Hub handle, a folder of the same format, or the small teacher that comes with the
# package. With a GPU and a network you would write
# `tg.HubTeacher("https://tfhub.dev/deepmind/biggan-deep-128/1", truncation=0.5)` here and choose the presets
# `tinygan_v2_128` below; nothing else changes.

# %%
teacher = tg.HubTeacher("biggan_fashion_32", truncation=1.0)
teacher

# %% [markdown]
# A forward pass of the teacher costs more than a step of the student, so we draw its images once. The real
# images are optional: without them the two GAN terms are left out.

# %%
samples = tg.sample_teacher(teacher, SAMPLES)
real = tg.load_fashion_mnist_subset()
batches = tg.distillation_batches(samples, real, batch_size=32)

# %% [markdown]
# ## Student, discriminator, model
#
# The package has this student's weights, too; here it starts from random ones. (`tinygan_fashion_32` is the
# paper's network; ours draws better at the same size.)

# %%
student = tg.StudentGenerator.from_preset("tinygan_v2_fashion_32", load_weights=False)
discriminator = tg.Discriminator.from_preset("tinygan_v2_fashion_32")
print(f"{teacher.parameters:,} -> {student.count_params():,} parameters")

model = tg.TinyGAN(student, discriminator, ema_decay=0.995)
model.compile(  # the defaults are the paper's; these suit a run of minutes
    g_optimizer=keras.optimizers.Adam(2e-3, beta_1=0.5, beta_2=0.99),
    d_optimizer=keras.optimizers.Adam(5e-4, beta_1=0.5, beta_2=0.99),
    pixel_weight=0.5,
    pixel_weight_decay=0.0,
    adversarial_distillation_weight=0.02,
    adversarial_gan_weight=0.03,
    discriminator_gan_weight=0.7,
    adversarial_interval=1,
    adversarial_loss="relativistic",  # each image against the teacher's of the same latents
    fresh_latents=False,  # the student generates once a step, not twice
)
history = model.fit(
    batches, epochs=EPOCHS, steps_per_epoch=STEPS_PER_EPOCH, verbose=2, shuffle=False
)

# %% [markdown]
# ## The losses
#
# The pixel term tells how close the student's image is to the teacher's; the feature term how close the
# discriminator finds them. It learns too, so the feature term need not fall.

# %%
terms = ("pixel_distillation", "feature_distillation", "adversarial_distillation", "d_loss")
figure, axes = plt.subplots(1, len(terms), figsize=(14, 2.5))
for axis, term in zip(axes, terms, strict=True):
    axis.plot(history.history[term])
    axis.set_title(term)
    axis.set_xlabel("epoch")
plt.show()

# %% [markdown]
# ## Teacher above student, same latents
#
# `model.ema_student` is the running average of the student; it draws better than the student itself.

# %%
labels = np.repeat(np.arange(10), 8)
latents = tg.sample_latents(len(labels), teacher.latent_dim, seed=1)
grid = tg.class_grid(
    teacher(latents, labels), model.ema_student((latents, labels)), labels, real.class_names
)
plt.figure(figsize=(14, 9))
plt.imshow(grid)
plt.axis("off")
plt.show()

# %% [markdown]
# ## Keep it
#
# The whole training state goes into one `.keras` file, without the teacher. The SavedModel is what
# TensorFlow Serving loads.

# %%
runs = Path("runs/quickstart")
runs.mkdir(parents=True, exist_ok=True)
model.save(runs / "tinygan.keras")
version = 1 + sum(1 for _ in (runs / "saved_model").glob("[0-9]*"))
tg.export_saved_model(model.ema_student, runs / "saved_model" / str(version))
print("Written:", *sorted(runs.iterdir()), sep="\n")
