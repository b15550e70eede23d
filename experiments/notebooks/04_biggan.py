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
# # The real BigGAN
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/tinygan-keras/blob/main/experiments/notebooks/04_biggan.ipynb)
#
# DeepMind's BigGAN-deep draws 1,000 classes at 128 pixels with 50 million parameters. Here it becomes the
# teacher of a student with 3 million. The whole run takes an estimated day on a GPU
# (`experiments/imagenet_128` has the configs); this notebook takes its first steps.
#
# In a clone of the repository, install with `pip install -e '.[notebook]'`. This notebook is generated from
# `04_biggan.py` (edit that) and executed by `execute.py`.

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
import runpy
import textwrap
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import tinygan_keras as tg
from tinygan_keras.errors import UserError

DEBUG = "TINYGAN_DEBUG" in os.environ  # a teacher of 32 pixels, which is no BigGAN at all
SIZE, STEPS, BATCH = (32, 2, 4) if DEBUG else (128, 10, 8)

# %% [markdown]
# ## The teacher
#
# The module comes from TensorFlow Hub, or the same weights from the Hugging Face Hub (211 MB, which needs
# `pip install "tinygan-keras[hub,torch]"`). **Where neither can be reached, a stand-in takes its place**:
# the same network with random weights, which draws patterns and costs as much.


# %%
def open_teacher():
    """DeepMind's BigGAN-deep, or the stand-in; and which it is."""
    problems = []
    if not DEBUG:
        for source in (
            "https://tfhub.dev/deepmind/biggan-deep-128/1",
            "hf://osanseviero/BigGAN-deep-128",
        ):
            try:
                if source.startswith("hf://"):
                    folder = Path("runs/biggan_deep_128")
                    source = folder if folder.exists() else tg.import_generator(source, folder)
                return tg.HubTeacher(source, truncation=0.5), "DeepMind's BigGAN-deep"
            except UserError as error:
                problems.append(f"{source}: {str(error).splitlines()[0][:120]}")
    print("The weights are not at hand:", *problems, sep="\n  ")
    folder = Path(f"runs/stand_in_{SIZE}")
    if not folder.exists():
        script = Path(tg.__file__).parents[1] / "experiments/imagenet_128/make_stand_in.py"
        if not script.exists():
            raise FileNotFoundError("The stand-in is made by a script of the repository: clone it.")
        channels = 4 if DEBUG else None
        runpy.run_path(str(script))["write_stand_in"](folder, SIZE, channels=channels)
    return tg.HubTeacher(folder, truncation=0.5), "a stand-in with random weights"


teacher, kind = open_teacher()
print(f"The teacher is {kind}: {teacher.parameters:,} parameters, {teacher.image_size} pixels.")

# %%
CLASSES = {"macaw": 88, "golden retriever": 207, "tabby": 281, "goldfish": 1}
labels = np.repeat(list(CLASSES.values()), 2)
latents = tg.sample_latents(len(labels), teacher.latent_dim, truncation=0.5, seed=0)
images = teacher(latents, labels).numpy()


def show(rows, titles):
    """Shows rows of images in [-1, 1] below each other, the classes above them."""
    size = (11, 1.6 * len(rows))
    _, axes = plt.subplots(len(rows), len(labels), figsize=size, squeeze=False)
    for line, row, title in zip(axes, rows, titles, strict=True):
        for axis, image in zip(line, row, strict=True):
            axis.imshow(image / 2 + 0.5)
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(textwrap.fill(title, 16), fontsize=8)
    for axis, name in zip(axes[0][::2], CLASSES, strict=True):
        axis.set_title(name, loc="left", fontsize=9)
    plt.show()


show([images], [kind])

# %% [markdown]
# ## The student
#
# It has its teacher's class embedding from the start, in place of a random one. The discriminator is the
# paper's.

# %%
if DEBUG:
    student = tg.StudentGenerator.from_preset("tinygan_v2_32", channels=(8, 8, 8, 8))
    discriminator = tg.Discriminator.from_preset("tinygan_32", channels=(4, 4, 4))
else:
    student = tg.StudentGenerator.from_preset("tinygan_v2_128")
    discriminator = tg.Discriminator.from_preset("tinygan_128")
if teacher.class_embedding is not None and teacher.class_embedding.shape[1] == 128:
    student.set_class_embedding(teacher.class_embedding)
print(f"{teacher.parameters:,} -> {student.count_params():,} parameters")

# %% [markdown]
# What an image costs, in batches of eight:


# %%
def seconds_per_image(draw):
    """The quickest of three calls."""
    draw(latents, labels)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        np.asarray(draw(latents, labels))
        times.append(time.perf_counter() - start)
    return min(times) / len(labels)


costs = seconds_per_image(teacher), seconds_per_image(tg.open_generator(student).draw)
print(
    f"teacher {1000 * costs[0]:.0f} ms, student {1000 * costs[1]:.0f} ms: {costs[0] / costs[1]:.0f} times"
)

# %% [markdown]
# ## The first steps
#
# With a live teacher every step waits for its images. A long run draws them once (`tinygan cache`), and has
# real images for the two GAN terms, which are left out here.

# %%
batches = tg.distillation_batches(teacher, real=None, batch_size=BATCH, truncation=0.5)
model = tg.TinyGAN(student, discriminator, teacher=teacher)
model.compile()
start = time.perf_counter()
history = model.fit(batches, epochs=2, steps_per_epoch=STEPS // 2, verbose=2, shuffle=False)
print(f"{(time.perf_counter() - start) / STEPS:.1f} s a step of {BATCH} images")

# %%
show(
    [images, np.asarray(model.ema_student((latents, labels)))],
    [kind, f"student after {STEPS} steps"],
)

# %% [markdown]
# Ten steps of 741,600: a student of grey. `docs/biggan.md` says how the whole way goes; in short:
#
# ```
# tinygan cache   --teacher=https://tfhub.dev/deepmind/biggan-deep-128/1 --classes=animals --count=791040 \
#     --out=cache
# tinygan prepare --data=imagenet/ --image_size=128 --classes=animals --out=imagenet_128
# tinygan distill --config=experiments/imagenet_128/improved.py --workdir=runs/imagenet \
#     --config.teacher_cache=cache --config.data=imagenet_128
# ```
