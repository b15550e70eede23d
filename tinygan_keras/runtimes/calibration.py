"""What quantisation sees of a student: latents by the law of its training, and classes spread evenly."""

import numpy as np

from ..latents import sample_latents

CALIBRATION_SEED = 2_000_000  # far from those of training, of evaluation and of the parity check
PARITY_SEED = 3_000_000
# LiteRT and ONNX Runtime take the largest value that they see, and it grows with the number of images: of the
# embedded student's LiteRT int8, 1000 images cost 0.9 of Frechet distance, 64 cost 0.6.
CALIBRATION_IMAGES = 64
_BATCH = 8  # where a form takes any


def evenly_drawn(student, count: int, truncation: float, seed: int):
    """Returns latents float32 `[count, latent_dim]` and labels int32 `[count]`, spread over all classes."""
    # Fewer images than classes: of classes that lie evenly among all.
    labels = np.linspace(0, student.num_classes, count, endpoint=False)
    if count >= student.num_classes:
        labels = np.arange(count) % student.num_classes
    return sample_latents(count, student.latent_dim, truncation, seed), labels.astype("int32")


def calibration_batches(student, truncation: float, batch_size: int | None) -> list:
    """Returns what the calibration of an exported form runs on.

    Args:
        student: The generator.
        truncation: Scale of the latents, in (0, 1]: the one that the student is used with.
        batch_size: That of the form; None for any.

    Returns:
        List of dicts of `z` float32 `[B, latent_dim]` and `label` int32 `[B]`, of 64 rows or a few more.
    """
    size = batch_size or _BATCH
    batches = -(-CALIBRATION_IMAGES // size)
    latents, labels = evenly_drawn(student, batches * size, truncation, CALIBRATION_SEED)
    parts = (slice(start, start + size) for start in range(0, len(labels), size))
    return [{"z": latents[part], "label": labels[part]} for part in parts]
