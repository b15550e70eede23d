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
# # How good is a student?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/tinygan-keras/blob/main/experiments/notebooks/02_evaluation.ipynb)
#
# One number says little about a generator, and two numbers compare only if they were measured in the same
# way. `tg.evaluate` gives the usual figures together with everything that moves them: the **protocol**.
#
# In a clone of the repository, install with `pip install -e '.[notebook]'`. This notebook is generated from
# `02_evaluation.py` (edit that) and executed by `execute.py`.

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

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import tinygan_keras as tg
from tinygan_keras.evaluation.results import as_table, beside_teacher, compare

DEBUG = "TINYGAN_DEBUG" in os.environ  # seconds instead of two minutes
IMAGES = 300 if DEBUG else 10_000

extractor = tg.load_extractor("fashion_classifier")
real = tg.open_images("fashion_mnist_10k")

# %% [markdown]
# ## Student beside teacher
#
# Both draw from the same latents and labels. The real images are looked at once; their statistics are kept
# in Keras' home folder and read from there the next time. For ImageNet, write
# `tg.load_extractor("inception")` and a folder of images.

# %%
result = tg.evaluate(
    "tinygan_fashion_32",
    extractor,
    reference=real,
    teacher="biggan_fashion_32",
    num_images=IMAGES,
)
print(as_table(beside_teacher(result, "student")))

# %% [markdown]
# Low is good for distances, high for the others. "Two halves of the real images" is what a perfect
# generator would get with half as many images. A small precision means images that look like nothing
# real; a small recall, real images that nothing generated looks like. What the figures can't say is in
# the notes:

# %%
result["notes"]

# %% [markdown]
# ## The protocol
#
# Change one line of it and the figures move. Evaluations with different protocols are not compared:

# %%
result["protocol"]

# %%
fewer = tg.evaluate("tinygan_fashion_32", extractor, reference=real, num_images=IMAGES // 2)
try:
    print(compare({"all": result, "half": fewer}))
except ValueError as error:
    print(error)

# %% [markdown]
# ## Pictures
#
# Is anything memorised? What lies between two classes? Where are the images that the student never draws?

# %%
entries = tg.draw_album(
    "tinygan_fashion_32",
    "runs/album",
    teacher="biggan_fashion_32",
    extractor=extractor,
    real=real,
    per_class=10 if DEBUG else 100,
)
for entry in entries:
    picture = np.asarray(Image.open(entry.path))
    plt.figure(figsize=(11, 11 * picture.shape[0] / picture.shape[1]))
    plt.imshow(picture)
    plt.axis("off")
    plt.show()

# %% [markdown]
# ## While training
#
# The same figures after every few epochs, the best student kept, and an end when nothing gets better:
#
# ```python
# def figures(student):
#     return tg.evaluate(student, extractor, reference=real, num_images=2000, truncation=1.0)["figures"]
#
# best = tg.EvaluationCallback(figures, every=5, folder="runs/best", patience=4)
# model.fit(batches, epochs=100, steps_per_epoch=150, callbacks=[best])
# ```
