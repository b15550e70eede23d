"""What happens to a real image between its file and the discriminator.

Centre crop to the shorter side (one pixel nearer to the top and the left where it can't be the middle);
bilinear resizing with antialiasing, in half-pixel coordinates, as Pillow's and torchvision's `Resize` do it;
rounding to 8 bits; x / 127.5 - 1. Rounding, because the images of teachers and students are stored as 8 bits
too, so that nothing tells a real one by its grain.

Rejected: random crops, which change what the teacher's classes look like; bilinear resizing without
antialiasing, TensorFlow's default, which leaves Moire patterns for the discriminator to learn.
"""

import tensorflow as tf


def describe_preprocessing(image_size: int, horizontal_flip=False) -> str:
    """Returns the steps in words, for reports."""
    flip = ", flipped at random" if horizontal_flip else ""
    return (
        f"RGB, centre crop to the shorter side, bilinear with antialiasing to {image_size}x{image_size}, "
        f"8 bits{flip}, scaled to [-1, 1]"
    )


def crop_and_resize(pixels, image_size: int):
    """Brings decoded images to the size of the networks.

    Args:
        pixels: uint8 `[H, W, 3]` or `[B, H, W, 3]`, of any height and width.
        image_size: Height and width of the result.

    Returns:
        uint8 tensor `[S, S, 3]` or `[B, S, S, 3]`.

    Example:
        crop_and_resize(pixels, 128)
    """
    height, width = tf.shape(pixels)[-3], tf.shape(pixels)[-2]
    side = tf.minimum(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = pixels[..., top : top + side, left : left + side, :]
    resized = tf.image.resize(square, (image_size, image_size), "bilinear", antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)


def flip_at_random(images, seed: int, step):
    """Mirrors half of the images of a batch left to right; which ones, seed, step and place decide.

    Args:
        images: `[B, H, W, C]`.
        seed: Int.
        step: Int64 tensor, the number of the batch.

    Returns:
        Tensor like `images`.
    """
    key = tf.stack([tf.cast(seed, tf.int64), tf.cast(step, tf.int64)])
    mirrored = tf.random.stateless_uniform((tf.shape(images)[0],), key) < 0.5
    return tf.where(mirrored[:, None, None, None], tf.reverse(images, axis=[2]), images)


def to_float(images):
    """Maps uint8 images [0, 255] to float32 tensors [-1, 1], as `images.to_float` does."""
    return tf.cast(images, tf.float32) / 127.5 - 1.0
