"""The public names, pinned: a name that goes away breaks users.

`public_names.txt` holds them, one a line. After a change that is meant, make it anew
and look at the difference:

    python tests/architecture/test_public_names.py > names.txt
    mv names.txt tests/architecture/public_names.txt
"""

import importlib
import inspect
import pathlib
import pkgutil

import keras_practices

PINNED = pathlib.Path(__file__).with_name("public_names.txt")


def public_modules():
    """The package and its subpackages without an underscore."""
    names = [
        module.name
        for module in pkgutil.iter_modules(keras_practices.__path__)
        if module.ispkg and not module.name.startswith("_")
    ]
    return ["keras_practices"] + [f"keras_practices.{name}" for name in sorted(names)]


def names_now():
    return sorted(
        f"{module}.{name}"
        for module in public_modules()
        for name in getattr(importlib.import_module(module), "__all__", ())
    )


def test_public_names_are_the_pinned_ones():
    pinned = PINNED.read_text(encoding="utf-8").split()
    now = names_now()
    assert {"new": set(now) - set(pinned), "gone": set(pinned) - set(now)} == {
        "new": set(),
        "gone": set(),
    }
    assert pinned == sorted(set(pinned))


def test_every_public_name_is_there():
    for path in names_now():
        module, name = path.rsplit(".", 1)
        assert getattr(importlib.import_module(module), name) is not None
        assert name in dir(importlib.import_module(module))


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(keras_practices, "no_such_name")


def test_public_objects_exist_under_one_path():
    """The face repeats a few names; subpackages do not repeat each other's."""
    owners = {}
    for path in names_now():
        module, name = path.rsplit(".", 1)
        item = getattr(importlib.import_module(module), name)
        if module != "keras_practices" and not inspect.ismodule(item):
            owners.setdefault(name, []).append(module)
    assert {name: found for name, found in owners.items() if len(found) > 1} == {}


if __name__ == "__main__":
    print("\n".join(names_now()))
