"""A monitor never breaks a training: what fails is said once, then left out."""

import functools
import warnings

from keras_practices.errors import KerasPracticesWarning
from keras_practices.errors import first_line


def switch_off(callback, hook, error):
    """Marks a callback as broken and says so in one warning."""
    callback.broken = True
    warnings.warn(
        f"{type(callback).__name__} is switched off for the rest of this training, "
        f"which goes on. In {hook}: {first_line(error)}",
        KerasPracticesWarning,
        stacklevel=3,
    )


def guarded(hook):
    """Turns any fault inside a callback's hook into one warning.

    The callback needs an attribute `broken`; once it is true, guarded hooks do
    nothing. Interrupts pass through.
    """

    @functools.wraps(hook)
    def safe(self, *args, **kwargs):
        if self.broken:
            return
        try:
            hook(self, *args, **kwargs)
        except Exception as error:
            switch_off(self, hook.__name__, error)

    return safe
