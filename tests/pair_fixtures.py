"""Pairs in each of the three layouts that are imported, and what the tests of the import compare."""

import numpy as np
from PIL import Image

from tinygan_keras.data.teacher_cache import TeacherCache
from tinygan_keras.images import to_uint8


def pairs(count=21, size=8):
    """Pairs of 3 classes, class by class, whose images show their latents."""
    random = np.random.default_rng(0)
    latents = random.uniform(-1, 1, (count, 4)).astype("float32")
    labels = np.sort(np.arange(count) % 3)
    images = to_uint8(np.tile(latents[:, None, :3].reshape(-1, 1, 1, 3), (1, size, size, 1)))
    images[:, 0, 0, 0] = labels
    return latents, labels, images


def write_npz(path, latents, labels, images, **more):
    np.savez(path, latents=latents, labels=labels, images=images, **more)
    return path


def write_numbered(folder, latents, labels, images):
    """As the authors' program does: latents in float64, images in a folder of their own."""
    (folder / "out_img").mkdir(parents=True)
    np.save(folder / "all_noises.npy", latents.astype("float64"))
    np.save(folder / "all_labels.npy", labels)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / "out_img" / f"{number}.png")
    return folder


def write_class_folders(folder, latents, labels, images):
    """As DiStyleGAN does: a folder per class, and tensors that are views of a batch."""
    import torch

    batch = torch.from_numpy(latents)
    for label in np.unique(labels):
        (folder / f"class_{label}").mkdir(parents=True)
        for number, row in enumerate(np.flatnonzero(labels == label)):
            Image.fromarray(images[row]).save(folder / f"class_{label}" / f"image_{number}.png")
            torch.save(batch[row], folder / f"class_{label}" / f"noise_{number}.pt")
    return folder


def same_batches(folder, expected):
    """Fails unless two caches give the same batches, over more than one pass."""
    one, other = (TeacherCache(place).batches(5, seed=1).take(15) for place in (folder, expected))
    for batch, same in zip(one, other, strict=True):
        for name in same:
            np.testing.assert_array_equal(batch[name], same[name])
