"""Public signatures are annotated without a gap.

mypy passes over a function that has no annotation at all, so it cannot find these.
Methods that Keras calls (`call`, `get_config`, `on_epoch_end`) are not meant: their
signature is Keras's, which has no types.
"""

import inspect

import pytest
from public_objects import own_methods
from public_objects import public_objects

pytestmark = pytest.mark.once


def gaps(function, skip_return=False):
    signature = inspect.signature(function)
    found = [
        name
        for name, parameter in signature.parameters.items()
        if parameter.annotation is parameter.empty and name not in ("self", "cls")
    ]
    if signature.return_annotation is signature.empty and not skip_return:
        found.append("return")
    return found


@pytest.mark.parametrize("path", public_objects())
def test_public_signature_is_annotated(path):
    item = public_objects()[path]
    found = {}
    if inspect.isclass(item):
        if inspect.isfunction(vars(item).get("__init__")):
            found["__init__"] = gaps(item.__init__, skip_return=True)
        found.update({name: gaps(method) for name, method in own_methods(item)})
    else:
        found[path] = gaps(item)
    assert {name: missing for name, missing in found.items() if missing} == {}
