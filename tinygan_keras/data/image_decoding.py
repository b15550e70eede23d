"""THE decoder: from the bytes of an image to uint8 pixels, the same wherever images are opened.

- format: JPEG, PNG, BMP, GIF or WebP, by the content, not the suffix; of animations the first frame.
- depth and colour: of 16 bits the higher 8; gray, palette and CMYK become RGB as Pillow converts them;
  profiles, gamma and alpha are dropped, as the loaders of the field do. EXIF orientation is applied.
- damage: a file that breaks off, or whose checksum is wrong, is refused by name.
- size: centre crop to the shorter side (nearer to the top and the left by one where it can't be the middle),
  Pillow's bilinear resizing, which is antialiased and in half-pixel coordinates, as torchvision's.

Rejected: TensorFlow's decoders, which read other pixels from palette BMPs and from CMYK, ignore EXIF, can't
say which file is damaged, and are no quicker. Random crops, which change what the teacher's classes look
like. Resizing without antialiasing, whose Moire patterns the discriminator would learn.
"""

import collections
import contextlib
import io
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import numpy as np
from PIL import Image

from ..classes.folder_labels import listed
from ..errors import InputError
from ..progress import progress_bar

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
"""Ends of the names of the files in a folder that are taken for images, in lower case."""
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP")
_LOSSY = ("JPEG", "MPO", "WEBP")
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_MODES = {
    "1": "black and white",
    "L": "grayscale",
    "LA": "grayscale with an alpha channel, which is dropped",
    "P": "palette images",
    "RGBA": "RGB with an alpha channel, which is dropped",
}
_THREADS = 16  # decoding is bound by processors, but a network disk answers many at a time
_AT_A_TIME = 32
_NAMED, _SHOWN = 100, 5
_QUIET_SECONDS = 5.0
_SKIP = "Replace or delete them, or leave them out: tinygan prepare --skip_unreadable."


class Decoded(NamedTuple):
    """Pixels uint8 `[H, W, 3]`, or None and why; of the file, its size, format, what was done with {}."""

    pixels: np.ndarray | None
    size: tuple = ()
    format: str = ""
    conversions: tuple = ()
    error: str = ""


def decode(source) -> Decoded:
    """Decodes a path, the bytes of a file, or pixels; raises whatever the decoder stumbles over."""
    if isinstance(source, np.ndarray):
        return Decoded(source, source.shape[1::-1])
    if isinstance(source, bytes):
        source = io.BytesIO(source)
    elif not os.path.getsize(source):
        raise ValueError("empty")
    conversions = []
    with Image.open(source, formats=_FORMATS) as opened:
        if opened.format != "MPO" and getattr(opened, "is_animated", False):
            conversions.append("Took the first frame of {}, which are animations")
        opened.load()
        image, mode, turn = opened, opened.mode, None
        with contextlib.suppress(Exception):  # EXIF that can't be read turns nothing
            turn = _UPRIGHT.get(opened.getexif().get(_ORIENTATION))
        if mode.startswith(("I", "F")):
            conversions.append("Converted {} from 16 bits per channel to 8")
            image = Image.fromarray(_high_byte(np.asarray(image)))
        elif mode != "RGB":
            conversions.append(f"Converted {{}} to RGB, which are {_MODES.get(mode, mode)}")
        if turn is not None:
            conversions.append("Turned {} upright, as their EXIF orientation says")
            image = image.transpose(turn)
        pixels = np.asarray(image.convert("RGB"))
        return Decoded(pixels, image.size, opened.format, tuple(conversions))


def _high_byte(levels):
    """Pillow would cut 16 bits off at 255; colour of 16 bits it reads as here."""
    if levels.dtype.kind == "f" or levels.min() < 0 or levels.max() > 65535:
        raise ValueError(f"levels from {levels.min()} to {levels.max()} are not of 16 bits")
    return (levels.astype("uint16") >> 8).astype("uint8")


def crop_and_resize(pixels, image_size: int) -> np.ndarray:
    """Crops uint8 `[H, W, 3]` to the centre square and resizes it to uint8 `[image_size, image_size, 3]`."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = pixels[top : top + side, left : left + side]
    if side == image_size:
        return square
    resized = Image.fromarray(square).resize((image_size, image_size), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def describe_preprocessing(image_size: int, horizontal_flip=False) -> str:
    """What is done with images, for reports."""
    flip = ", flipped at random" if horizontal_flip else ""
    return (
        f"RGB, centre crop to the shorter side, bilinear with antialiasing to {image_size}x{image_size}, "
        f"8 bits{flip}, scaled to [-1, 1]"
    )


def decode_all(sources, finish=lambda pixels: pixels):
    """Decodes in threads, and reads little ahead: yields `finish(pixels)`, `Decoded`, of each source."""

    def work(chunk):
        return [_try_to_decode(source, finish) for source in chunk]

    sources, pending = iter(sources), collections.deque()
    with ThreadPoolExecutor(_THREADS) as threads:
        while chunk := list(islice(sources, _AT_A_TIME)):
            pending.append(threads.submit(work, chunk))
            if len(pending) > 2 * _THREADS:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()


def _try_to_decode(source, finish):
    try:
        decoded = decode(source)
        return decoded._replace(pixels=finish(decoded.pixels))
    except Exception as error:  # decoders raise whatever they stumble over
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        reason = re.sub(r" (<_io|'|\").*", "", reason)  # the name of the file is said elsewhere
        return Decoded(None, error=file_text(reason)[:100])


class Decoding:
    """Decodes images of a source, and counts what it finds."""

    def __init__(self, source):
        self._source, self.count = source, 0  # of images that could be decoded
        self.sizes, self.unreadable = collections.Counter(), []  # with index and reason
        self._kinds, self._first = collections.Counter(), {}

    def pixels_of(self, indices, image_size=None, progress=True):
        """Yields the pixels of these images, None for what is unreadable; cropped if a size is given."""
        crop = {"finish": lambda pixels: crop_and_resize(pixels, image_size)} if image_size else {}
        results = decode_all(self._source.payloads(indices), **crop)
        bar, begin = None, time.monotonic()
        for done, (index, result) in enumerate(zip(indices, results, strict=True), start=1):
            self._count(index, result)
            yield result.pixels
            if progress and done % 100 == 0 and time.monotonic() - begin > _QUIET_SECONDS:
                bar = bar or progress_bar(len(indices))
                bar.update(done)
        if bar:
            bar.update(len(indices), finalize=True)

    def _count(self, index, result):
        if result.error:
            self.unreadable.append((index, result.error))
            return
        self.count += 1
        self.sizes[result.size] += 1
        kinds = (*result.conversions, *["lossy"] * (result.format in _LOSSY))
        self._kinds.update(kinds)
        for kind in (*kinds, result.size):
            self._first.setdefault(kind, index)

    def _such_as(self, kind):
        return f"(such as {self._source.image_name(self._first[kind])})"

    def sizes_text(self) -> str:
        """The smallest and the largest size."""
        ends = (pick(self.sizes, key=lambda size: size[0] * size[1]) for pick in (min, max))
        return " to ".join(dict.fromkeys("{}x{}".format(*size) for size in ends)) + " pixels"

    def unreadable_text(self) -> str:
        """How many images can't be decoded, and which, up to 100."""
        number, first = len(self.unreadable), self.unreadable[:_NAMED]
        names = [f"{self._source.image_name(index)} ({reason})" for index, reason in first]
        shown = listed(names, _NAMED, number)
        return f"{number:,} of {self.count + number:,} files that can't be decoded: {shown}"

    def check_readable(self, fix=_SKIP):
        """Raises InputError if images can't be decoded."""
        if self.unreadable:
            raise InputError(
                f"Got {self._source.name} with {self.unreadable_text()}. Expected images: JPEG, PNG, BMP, "
                f"GIF or WebP. {fix}"
            )

    def check_one_size(self):
        """Raises InputError if the images aren't square and of one size."""
        if len(self.sizes) == 1 and all(width == height for width, height in self.sizes):
            return
        groups = [
            f"{count:,} of {size[0]}x{size[1]} {self._such_as(size)}"
            for size, count in self.sizes.most_common()
        ]
        raise InputError(
            f"Got {self._source.name} with images of these sizes: {listed(groups, _SHOWN)}. Expected one "
            "size, and square. Crop and resize all in the same way (tinygan prepare), or move some away."
        )

    def warnings(self, image_size=None) -> list:
        """A sentence for each kind of conversion; on images that are enlarged, or else on lossy formats."""
        sentences = []
        for kind, count in sorted(self._kinds.items()):
            files = f"{count:,} of {self.count:,} files"
            if kind != "lossy":
                sentences.append(f"{kind.format(files)} {self._such_as(kind)}.")
            elif not image_size:
                sentences.append(
                    f"{files} are JPEG or WebP {self._such_as(kind)}. What the compression changes counts "
                    "as a difference between images."
                )
        small = sum(n for size, n in self.sizes.items() if min(size) < (image_size or 0))
        if small:
            sentences.append(
                f"{small:,} of {self.count:,} images are smaller than {image_size} pixels and are enlarged, "
                "which makes them blurred."
            )
        return sentences


def file_text(name) -> str:
    """A name from the disk as text that can be printed: UTF-8 or else Latin-1, whatever the locale is."""
    data = os.fsencode(name)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
