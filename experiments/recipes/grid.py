"""The candidates of `bench.py`, in the order of the table: what each changes of the paper's config.

`paper`, `hinge` and what follows `grey` are at the demo's budget. The steps of all others were chosen so that
training takes about as long for each on one core, 455 to 565 s.
"""

from pathlib import Path

PAPER = Path(__file__).parent.parent / "fashion_mnist" / "paper.py"


def _network(latents, *channels, **settings):
    return {"student_overrides": {"latents": latents, "channels": channels, **settings}}


_HALF = {"discriminator_overrides": {"channels": (16, 32, 64, 128)}}
_SHARED = {**_HALF, "fresh_latents": False, "pixel_weight_decay": 0.0}
_WIDE = {**_SHARED, **_network("pieces", 72, 72, 64, 48, pointwise_first=True), "steps": 6400}
_REAL = {"adversarial_gan_weight": 0.03, "discriminator_gan_weight": 0.7}
_MORE_REAL = {"adversarial_gan_weight": 0.08, "discriminator_gan_weight": 1.0}
_HINGE = {**_SHARED, **_REAL, "g_learning_rate": 2e-3, "steps": 3000}
_WIDTHS = (68, 84, 56, 56)
_GREY = {**_HINGE, **_network("pieces", *_WIDTHS, pointwise_first=True, image_channels=1)}
_MOMENTUM = {"beta_1": 0.5, "beta_2": 0.99}
_PAIRS = {"adversarial_loss": "relativistic"}
_OURS = {**_GREY, **_MOMENTUM, **_PAIRS}

CANDIDATES = {
    # The paper's network and recipe: all of z into the 4x4 map.
    "paper": {},
    # Where z enters, and where the channels are, within 78,200 parameters and 9.87 M multiply-adds.
    "pieces": _network("pieces", 80, 80, 56, 32),
    "everywhere": _network("everywhere", 64, 64, 56, 40),
    # Half the discriminator, and the images of the pairs for the GAN terms: steps of 40 % of the time.
    "shared": {**_SHARED, **_network("pieces", 80, 80, 56, 32), "steps": 7000},
    # The first pointwise convolution of a block before its side doubles: the same widths, and wider.
    "pointwise-first": {
        **_SHARED,
        **_network("pieces", 80, 80, 56, 32, pointwise_first=True),
        "steps": 8000,
    },
    "wide": _WIDE,
    # Real images count for more; twice the rate.
    "real": {**_WIDE, **_REAL},
    "more-real": {**_WIDE, **_MORE_REAL},
    "real-rate": {**_WIDE, **_REAL, "g_learning_rate": 2e-3},
    # All of it, wider still; and twice as long with more weight for real images.
    "hinge": {**_HINGE, **_network("pieces", *_WIDTHS, pointwise_first=True)},
    "hinge-more-real": {
        **_HINGE,
        **_network("pieces", *_WIDTHS, pointwise_first=True),
        **_MORE_REAL,
        "steps": 6000,
    },
    # One channel; then momentum, and images compared pair by pair, alone and together.
    "grey": _GREY,
    "momentum": {**_GREY, **_MOMENTUM},
    "more-momentum": {**_GREY, "beta_1": 0.9, "beta_2": 0.99},
    "relativistic": {**_GREY, **_PAIRS},
    "ours": _OURS,
    "ours-longer": {**_OURS, "steps": 4800},
    "ours-real": {**_OURS, "adversarial_gan_weight": 0.08},
}
