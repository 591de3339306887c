"""Lazy import of optional dependencies, with the extra named where one lacks."""

import importlib

from keras_practices.errors import MissingExtraError


def require(module, extra, purpose):
    """Imports and returns an optional module.

    Args:
        module: Dotted name, such as `"matplotlib.pyplot"`.
        extra: The extra of this package that installs it.
        purpose: What it is needed for, for the message.

    Returns:
        The module.

    Raises:
        ImportError: it is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{purpose} needs the package `{module.split('.')[0]}`, which cannot be "
            f"imported ({error}). Install it: pip install keras-practices[{extra}]"
        ) from error
