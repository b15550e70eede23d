"""The examples in docstrings of the public names do what they say."""

import doctest
import sys

import numpy as np
import pytest

import tinygan_keras as tg

PUBLIC = {name: getattr(tg, name) for name in tg.__all__}
HOMES = sorted({getattr(thing, "__module__", thing.__name__) for thing in PUBLIC.values()})
CASES = [
    pytest.param(example, id=example.name.removeprefix(f"{tg.__name__}."))
    for home in HOMES
    for example in doctest.DocTestFinder().find(sys.modules[home])
    if example.examples
]


@pytest.mark.parametrize("example", CASES)
def test_example_does_what_it_says(example, repository, monkeypatch):
    monkeypatch.chdir(repository)
    example.globs |= {"np": np, "tg": tg, **PUBLIC}
    said = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=said.append)
    assert not said, "".join(said)
