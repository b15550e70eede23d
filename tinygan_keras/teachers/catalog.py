"""DeepMind's BigGAN modules on TensorFlow Hub: what each of the nine handles holds.

Known before anything is downloaded, so that a mistake costs a message and not a gigabyte.

Reference: Brock et al., arXiv:1809.11096; the modules' pages below https://tfhub.dev/deepmind.
"""

import difflib
import numbers
from typing import NamedTuple

from ..errors import InputError


class CatalogEntry(NamedTuple):
    """The sizes of one module, and the truncations that it has statistics for."""

    latent_dim: int
    image_size: int
    truncation_range: tuple[float, float]
    num_classes: int = 1000


PREFIX = "https://tfhub.dev/deepmind/"

DEEPMIND = {
    f"{PREFIX}biggan-{image_size}/{version}": CatalogEntry(latent_dim, image_size, (0.02, 1.0))
    for image_size, latent_dim in ((128, 120), (256, 140), (512, 128))
    for version in (1, 2)
} | {
    f"{PREFIX}biggan-deep-{image_size}/1": CatalogEntry(128, image_size, (0.0, 1.0))
    for image_size in (128, 256, 512)
}


def did_you_mean(text: str) -> str:
    """The end of an error message: the handles that `text` is nearly, the likeliest first, or nothing."""
    names = [handle.removeprefix(PREFIX) for handle in DEEPMIND]
    last_two_parts = "/".join(text.strip().lower().rstrip("/").split("/")[-2:])
    near = difflib.get_close_matches(last_two_parts, names, cutoff=0.85)
    return f" Did you mean {' or '.join(PREFIX + name for name in near)}?" if near else ""


def check_truncation(truncation, handle: str) -> float:
    """Returns `truncation` as a float if the module behind `handle` has statistics for it."""
    entry = DEEPMIND.get(handle)
    lowest, highest = entry.truncation_range if entry else (0.0, 1.0)
    number = isinstance(truncation, numbers.Real) and not isinstance(truncation, bool)
    if not (number and lowest <= truncation <= highest):
        raise InputError(
            f"Got truncation={truncation!r}; {handle} expects a number in [{lowest:g}, {highest:g}]. The "
            "paper's is 0.5; smaller values give cleaner and less varied images."
        )
    return float(truncation)
