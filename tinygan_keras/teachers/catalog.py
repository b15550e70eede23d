"""DeepMind's BigGAN modules on TensorFlow Hub: what each of the nine handles holds.

Scope: facts known before anything is downloaded, so that a mistyped handle or an impossible truncation
costs a message and not a gigabyte. All nine are TF1 Hub modules with one signature, `default`: inputs
`z` float `[B, latent_dim]`, `y` one-hot float `[B, 1000]`, `truncation` a scalar; output `default`,
images `[B, S, S, 3]` in [-1, 1].

Reference: Brock et al., arXiv:1809.11096; the modules' pages below https://tfhub.dev/deepmind.
"""

import difflib
import numbers
from typing import NamedTuple

from ..errors import InputError


class CatalogEntry(NamedTuple):
    """One module.

    `generator_parameters` is what the publisher states: exact for BigGAN, rounded to 10,000 for
    BigGAN-deep. A `stateful` module keeps batch-norm statistics of the last truncation it has seen, and
    its first call after a new one still uses the old ones.
    """

    latent_dim: int
    image_size: int
    num_classes: int
    truncation_range: tuple[float, float]
    generator_parameters: int
    stateful: bool


PREFIX = "https://tfhub.dev/deepmind/"

_BIGGAN = {"num_classes": 1000, "truncation_range": (0.02, 1.0)}
_BIGGAN_DEEP = {"num_classes": 1000, "truncation_range": (0.0, 1.0), "stateful": True}

DEEPMIND = {
    **{
        f"{PREFIX}biggan-{image_size}/{version}": CatalogEntry(
            latent_dim, image_size, generator_parameters=count, stateful=version == 1, **_BIGGAN
        )
        for image_size, latent_dim, count in (
            (128, 120, 70_433_988),
            (256, 140, 82_097_604),
            (512, 128, 82_296_804),
        )
        for version in (1, 2)
    },
    **{
        f"{PREFIX}biggan-deep-{image_size}/1": CatalogEntry(
            128, image_size, generator_parameters=count, **_BIGGAN_DEEP
        )
        for image_size, count in ((128, 50_390_000), (256, 55_880_000), (512, 56_160_000))
    },
}


def nearest_handles(text: str) -> list[str]:
    """DeepMind's handles that `text` was probably meant to be, the likeliest first."""
    names = {handle.removeprefix(PREFIX): handle for handle in DEEPMIND}
    last_two_parts = "/".join(text.strip().lower().rstrip("/").split("/")[-2:])
    return [names[name] for name in difflib.get_close_matches(last_two_parts, names, cutoff=0.85)]


def did_you_mean(text: str) -> str:
    """The end of an error message: the handles that `text` is nearly, or nothing."""
    handles = nearest_handles(text)
    return f" Did you mean {' or '.join(handles)}?" if handles else ""


def check_truncation(truncation, handle: str) -> float:
    """Returns `truncation` as a float if the module behind `handle` has statistics for it."""
    entry = DEEPMIND.get(handle)
    lowest, highest = entry.truncation_range if entry else (0.0, 1.0)
    number = isinstance(truncation, numbers.Real) and not isinstance(truncation, bool)
    if not (number and lowest <= truncation <= highest):
        expected = f"[{lowest:g}, {highest:g}]"
        raise InputError(
            f"Got truncation={truncation!r}; {handle} expects a number in {expected}. "
            "The paper's is 0.5; smaller values give cleaner and less varied images."
        )
    return float(truncation)
