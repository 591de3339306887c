"""Says in a terminal what is being measured, and leaves nothing behind."""

import contextlib
import sys

from keras_practices._core.validation import value_error


@contextlib.contextmanager
def progress(owner, verbose):
    """Shows one line that changes while the context is open.

    Args:
        owner: Name of the verb, such as `"check"`.
        verbose: `"auto"` (a line where standard error is a terminal), 0 (nothing) or 1
            (elsewhere a line of its own for each measure). 2 counts as 1: Keras's
            `fit` takes it.

    Yields:
        Function `(what)` to call when a measure begins.

    Raises:
        ValueError: another `verbose`.
    """
    if verbose not in ("auto", 0, 1, 2):
        raise value_error(owner, "verbose", '"auto", 0, 1 or 2', verbose)
    if verbose and sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status(f"{owner} …") as line:
            yield lambda what: line.update(f"{owner}: {what} …")
    elif verbose in (1, 2):
        yield lambda what: sys.stderr.write(f"{owner}: {what}\n")
    else:
        yield lambda what: None
