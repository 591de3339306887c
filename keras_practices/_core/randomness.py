"""Random state that measuring must not move."""

import contextlib
import random
import sys

import numpy as np


@contextlib.contextmanager
def restore_rng():
    """Puts the global random state of Python, NumPy and PyTorch back at the end.

    A check draws rows, builds optimizers and asks for seeds; without this the
    training after it would see other numbers than the training without it.
    PyTorch is only looked at where something else has imported it already.
    """
    python_state = random.getstate()
    numpy_state = np.random.get_state()
    torch = sys.modules.get("torch")
    torch_state = torch.random.get_rng_state() if torch is not None else None
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        if torch_state is not None:
            torch.random.set_rng_state(torch_state)


def derive_seeds(seed, count):
    """Returns `count` distinct integer seeds that follow from one.

    Two Keras initializers with one integer seed draw the same values, so whatever
    is repeated (trials, members of an ensemble) needs seeds of its own.

    Args:
        seed: Integer.
        count: How many seeds.

    Returns:
        List of distinct Python ints below 2³¹.
    """
    drawn = np.random.default_rng(seed).choice(2**31 - 1, size=count, replace=False)
    return [int(value) for value in drawn]
