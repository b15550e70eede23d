"""Writes pictures and moving pictures; a file appears complete or not at all."""

from pathlib import Path

from PIL import Image


def save_png(image, path) -> Path:
    """Writes one uint8 image `[H, W, 3]`."""
    return _save(path, Image.fromarray(image), format="PNG", optimize=True)


def save_gif(frames, path, milliseconds=400) -> Path:
    """Writes an endless animation that rests on its last frame.

    Args:
        frames: uint8 images `[H, W, 3]` of one shape, at least one.
        milliseconds: Time per frame; the last one stays five times as long.

    Raises:
        ValueError: there is no frame, or the shapes differ.
    """
    if len({frame.shape for frame in frames}) != 1:
        raise ValueError(
            f"Got frames of shape {[frame.shape for frame in frames]}. Expected at least one frame, "
            "all of one shape."
        )
    first, *others = [Image.fromarray(frame).quantize() for frame in frames]
    durations = [milliseconds] * len(others) + [5 * milliseconds]
    return _save(
        path, first, format="GIF", save_all=True, append_images=others, duration=durations, loop=0
    )


def _save(path, picture, **options) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    picture.save(temporary, **options)
    return temporary.replace(path)
