"""Public docstrings: there, with an example, and the example is true."""

import doctest
import inspect

import keras
import numpy as np
import pytest
from public_objects import modules
from public_objects import own_methods
from public_objects import public_objects

import keras_practices

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# What a reader of an example has imported.
READER = {"np": np, "keras": keras, "kp": keras_practices}
EXAMPLES = [
    test
    for module in modules()
    for test in doctest.DocTestFinder(exclude_empty=True).find(
        module, globs={**vars(module), **READER}
    )
    if test.examples
]


@pytest.mark.once
@pytest.mark.parametrize("path", public_objects())
def test_public_object_has_a_docstring_with_an_example(path):
    item = public_objects()[path]
    assert item.__doc__, "no docstring"
    if not (inspect.isclass(item) and issubclass(item, BaseException)):
        assert "Example:" in item.__doc__
        assert ">>> " in item.__doc__
    if inspect.isclass(item):
        missing = [name for name, method in own_methods(item) if not method.__doc__]
        assert missing == []


# What examples show is tested on each backend elsewhere; here it is the text.
@pytest.mark.once
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda test: test.name)
def test_example_is_true(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    runner.run(example, out=printed.append, clear_globs=False)
    assert runner.failures == 0, "".join(printed)


def test_examples_are_found():
    assert "keras_practices.findings.Finding" in [test.name for test in EXAMPLES]
