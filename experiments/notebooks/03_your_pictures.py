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
# # Your own pictures, from a folder to a served student
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/tinygan-keras/blob/main/experiments/notebooks/03_your_pictures.ipynb)
#
# Three steps: a teacher of your images, a student a sixteenth of its size, and a folder that TensorFlow
# Serving loads. On the command line they are `tinygan teach`, `tinygan distill` and `tinygan export`.
#
# In a clone of the repository, install with `pip install -e '.[notebook]'`. This notebook is generated from
# `03_your_pictures.py` (edit that) and executed by `execute.py`.

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
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import tinygan_keras as tg

DEBUG = "TINYGAN_DEBUG" in os.environ  # a minute instead of fifteen
RUNS = Path("runs/your_pictures")


def show(picture, width=11):
    """Shows an image file or array."""
    picture = np.asarray(Image.open(picture) if isinstance(picture, Path) else picture)
    plt.figure(figsize=(width, width * picture.shape[0] / picture.shape[1]))
    plt.imshow(picture)
    plt.axis("off")
    plt.show()


# %% [markdown]
# ## The folder
#
# A sub-folder per class, with images of any size in it: they are cropped to the centre square and resized.
# Put your own in `PHOTOS`; where it is missing, images of three classes of Fashion-MNIST stand in for them.

# %%
PHOTOS = RUNS / "photos"
if not PHOTOS.exists():
    data = tg.open_images("fashion_mnist_10k")
    for label in (3, 7, 8):
        name = data.class_names[label]
        (PHOTOS / name).mkdir(parents=True)
        for number in np.flatnonzero(data.labels == label)[: 40 if DEBUG else 1000]:
            image = data.read(number, number + 1)[0]
            Image.fromarray(image).save(PHOTOS / name / f"{number:05d}.png")

photos = tg.open_images(PHOTOS)
print(f"{photos.count:,} images of {', '.join(photos.class_names)}")

# %% [markdown]
# ## The teacher
#
# A class-conditional BigGAN. The defaults (6,000 steps at 32 pixels) take under an hour on two CPU cores; a
# tenth of them shows how it goes, and no more. The same cell again goes on with an interrupted run.

# %%
config = tg.default_teacher_config(image_size=32)
config.data = str(PHOTOS)
config.steps, config.steps_per_epoch = 600, 100
config.debug = DEBUG
report = tg.teach(config, RUNS / "teacher")

# %% [markdown]
# A row per class, and each column another latent:

# %%
show(RUNS / "teacher" / "samples.png")

# %% [markdown]
# The training as a moving picture, as long as you like:

# %%
tg.animate_run(RUNS / "teacher", RUNS / "teacher.gif", seconds=4)

# %% [markdown]
# ## The student
#
# The teacher's folder has a config for it. Settings can be changed one by one, as here the length of the
# run.

# %%
config = runpy.run_path(str(RUNS / "teacher" / "distill.py"))["get_config"]()
config.teacher_samples = 3_000
config.steps, config.steps_per_epoch = 1_500, 300
config.debug = DEBUG
report = tg.distill(config, RUNS / "student")

# %%
sizes = {side: report[side]["parameters"] for side in ("teacher", "student")}
print(f"{sizes['teacher']:,} -> {sizes['student']:,} parameters")
show(RUNS / "student" / "samples.png")

# %% [markdown]
# Wrong-looking curves have a page of the documentation: `docs/training_curves.md`.

# %% [markdown]
# ## The server
#
# `tinygan export --model=RUN --out=serving/photos/1` writes what TensorFlow Serving loads. The run has such
# a folder already; the same picture comes from all of them, since a picture is its class, seed and
# truncation.

# %%
served = tg.open_generator(RUNS / "student" / "saved_model" / "1")
student = tg.open_generator(RUNS / "student")
names, seeds = [*photos.class_names] * 4, range(len(photos.class_names) * 4)
pictures = [one.generate(names, seeds=seeds, truncation=1.0) for one in (student, served)]
print("largest difference, of 255:", np.abs(np.subtract(*pictures, dtype="int32")).max())
show(np.concatenate(pictures[1], axis=1))

# %% [markdown]
# With a server in front of it, any program asks for pictures by name:
#
# ```python
# with tg.ServingClient("http://127.0.0.1:8501", model="photos") as client:
#     images = client.images(["Dress", "Sneaker"], seeds=[0, 1])
# ```
