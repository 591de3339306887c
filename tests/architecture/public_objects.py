"""Imports the package and finds what is public in it."""

import functools
import importlib
import inspect
import pkgutil

import keras

import keras_practices


@functools.cache
def modules():
    """Returns every module of the package that this backend can import."""
    found = [keras_practices]
    for item in pkgutil.walk_packages(keras_practices.__path__, "keras_practices."):
        last = item.name.rsplit(".", 1)[-1]
        other = last.startswith("_backend_") and not last.endswith(
            keras.config.backend()
        )
        if not other and last != "__main__":
            found.append(importlib.import_module(item.name))
    return tuple(found)


@functools.cache
def public_objects():
    """Returns `{path: object}` for every class and function a user is shown.

    That is the package's face and the rooms it names. Other rooms (measures, rules)
    can be read and imported, but are no part of the promise.
    """
    face = [getattr(keras_practices, name) for name in keras_practices.__all__]
    rooms = [keras_practices, *filter(inspect.ismodule, face)]
    return {
        f"{room.__name__}.{name}": getattr(room, name)
        for room in rooms
        for name in room.__all__
        if inspect.isclass(getattr(room, name))
        or inspect.isfunction(getattr(room, name))
    }


def own_methods(cls):
    """Yields `(name, function)` of public methods that no base class has.

    A second name for a method is left out, also one for a private method.
    """
    for name, item in vars(cls).items():
        method = getattr(item, "__func__", item)
        if isinstance(method, property):
            method = method.fget
        inherited = any(hasattr(base, name) for base in cls.__mro__[1:])
        named = inspect.isfunction(method) and method.__name__ == name
        if named and not name.startswith("_") and not inherited:
            yield name, method
