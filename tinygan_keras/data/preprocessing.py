"""From decoded pixels to what the networks see: one crop, one resizing, flips.

Centre crop to the shorter side (one pixel nearer to the top and the left where it can't be the middle);
Pillow's bilinear resizing, which is antialiased and in half-pixel coordinates, as torchvision's `Resize`;
8 bits; x / 127.5 - 1. Rounded to 8 bits, because the images of teachers and students are stored as 8 bits
too, so that nothing tells a real one by its grain.

Rejected: random crops, which change what the teacher's classes look like; bilinear resizing without
antialiasing, TensorFlow's default, which leaves Moire patterns for the discriminator to learn.
"""

import numpy as np


def describe_preprocessing(image_size: int, horizontal_flip=False) -> str:
    """Returns the steps in words, for reports."""
    flip = ", flipped at random" if horizontal_flip else ""
    return (
        f"RGB, centre crop to the shorter side, bilinear with antialiasing to {image_size}x{image_size}, "
        f"8 bits{flip}, scaled to [-1, 1]"
    )


def crop_and_resize(pixels, image_size: int) -> np.ndarray:
    """Crops uint8 `[H, W, 3]` to the centre square and resizes it to uint8 `[image_size, image_size, 3]`."""
    from PIL import Image

    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = pixels[top : top + side, left : left + side]
    if side == image_size:
        return square
    resized = Image.fromarray(square).resize((image_size, image_size), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def flip_at_random(images, seed: int, step):
    """Mirrors half of the images `[B, H, W, C]` left to right; seed, step and place decide which ones."""
    import tensorflow as tf

    key = tf.stack([tf.cast(seed, tf.int64), tf.cast(step, tf.int64)])
    mirrored = tf.random.stateless_uniform((tf.shape(images)[0],), key) < 0.5
    return tf.where(mirrored[:, None, None, None], tf.reverse(images, axis=[2]), images)
