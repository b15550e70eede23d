"""The headers of some files of a large folder, read before training starts.

All headers of ImageNet take hours on a network disk, and a good header says little about the rest of the
file. So a fixed number, spread evenly, is read: enough to find a wrong folder, a broken copy, or the usual
sizes. A file that turns out to be corrupt later is named then.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ...classes.folder_labels import listed
from ...errors import InputError

CHECKED_HEADERS = 2000
_NAMED = 10
_THREADS = 16  # a network disk answers many at a time


class Sizes(NamedTuple):
    """Of how many files the header was read, and their sizes int `[n, 2]`, width and height in pixels."""

    checked: int
    sizes: np.ndarray


def read_sizes(path, files, checked=CHECKED_HEADERS) -> Sizes:
    """Reads the headers of up to `checked` files, spread evenly.

    Args:
        path: The folder.
        files: Names relative to it.
        checked: How many to read; all if there are no more.

    Raises:
        ValueError: headers that can't be read. The message names up to 10 files.
    """
    places = np.unique(np.linspace(0, len(files) - 1, min(checked, len(files))).astype(int))
    chosen = [files[place] for place in places]
    with ThreadPoolExecutor(_THREADS) as threads:
        results = list(threads.map(lambda file: _size(Path(path, file)), chosen))
    corrupt = [
        f"{file} ({result})"
        for file, result in zip(chosen, results, strict=True)
        if isinstance(result, str)
    ]
    if corrupt:
        raise InputError(
            f"Got {len(corrupt)} corrupt files among {len(chosen)} that were checked, of {len(files)} in "
            f"{path}: {listed(corrupt, _NAMED)}. Expected images. Replace or remove these files."
        )
    return Sizes(len(chosen), np.array(results))


def _size(path):
    """Width and height, or what is wrong with the file."""
    try:
        if not path.stat().st_size:
            return "empty"
        with Image.open(path) as image:
            return image.size
    except Exception as error:  # decoders raise whatever they stumble over
        return type(error).__name__
