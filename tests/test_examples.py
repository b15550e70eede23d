"""The examples in docstrings of the public names do what they say."""

import doctest
import importlib

import numpy as np
import pytest

import tinygan_keras as tg

HOMES = sorted({f"{tg.__name__}{home}" for home in tg._HOME_OF.values()})
CASES = [
    pytest.param(example, id=example.name.removeprefix(f"{tg.__name__}."))
    for home in [*HOMES, "tinygan_keras.classes.selection"]
    for example in doctest.DocTestFinder().find(importlib.import_module(home))
    if example.examples
]


@pytest.mark.parametrize("example", CASES)
def test_example_does_what_it_says(example, repository, monkeypatch):
    monkeypatch.chdir(repository)
    example.globs |= {"np": np, "tg": tg, **{name: getattr(tg, name) for name in tg._HOME_OF}}
    said = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=said.append)
    assert not said, "".join(said)
