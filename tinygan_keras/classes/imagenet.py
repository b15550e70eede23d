"""The 1000 classes of ImageNet (ILSVRC 2012) in the order in which BigGAN counts them.

That is the order of the wnids, the numbers of the synsets in WordNet 3.0. `imagenet_classes.txt` has a line
per class: wnid, tab, lemmas of the synset. The wnids are those of the challenge, as TensorFlow Datasets lists
them; the lemmas are WordNet's, under the licence in `wordnet_license.txt`. Needs no TensorFlow.
"""

import collections
import functools
from pathlib import Path
from typing import NamedTuple

ANIMALS = range(398)  # ids of all that WordNet puts below n00015388: tench (0) to puffer (397)


class ImageNetClass(NamedTuple):
    """A wnid such as "n02012849", and the lemmas of its synset."""

    wnid: str
    lemmas: tuple


@functools.cache
def imagenet_classes() -> tuple:
    """The 1000 `ImageNetClass`es by id."""
    file = Path(__file__).with_name("imagenet_classes.txt")
    pairs = (line.split("\t") for line in file.read_text(encoding="utf-8").splitlines())
    return tuple(ImageNetClass(wnid, tuple(lemmas.split(", "))) for wnid, lemmas in pairs)


@functools.cache
def imagenet_ids() -> dict:
    """The id of each wnid, such as `{"n01440764": 0, ...}`."""
    return {known.wnid: label for label, known in enumerate(imagenet_classes())}


@functools.cache
def imagenet_names() -> tuple:
    """A name per id, each once: the first lemma, and where that isn't enough "crane (n02012849)"."""
    first = [(known.lemmas[0], known.wnid) for known in imagenet_classes()]
    count = collections.Counter(name.lower() for name, _ in first)
    return tuple(f"{name} ({wnid})" if count[name.lower()] > 1 else name for name, wnid in first)
