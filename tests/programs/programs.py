"""What a training program is, for the tables `healthy.py` and `faulty*.py`."""

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field
from typing import Any

import keras


@dataclass(frozen=True)
class Run:
    """One training run, ready to be handed to `kp.diagnose`.

    Args:
        model: Compiled Keras model.
        x: Inputs as `fit` takes them: arrays, a dict of arrays, a dataset.
        y: Targets, or None when `x` holds them.
        validation: `(x, y)` handed on as `validation_data`, or None.
        fit: Further arguments of `fit`: epochs, batch_size, validation_split.
    """

    model: keras.Model
    x: Any
    y: Any = None
    validation: Any = None
    fit: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Program:
    """A training program and what the report should say of it.

    Args:
        id: Unique name in kebab-case, starting with the kind of data.
        story: The symptom in one sentence, as its author would describe it.
        accepted: Codes of the rules that name the true cause; empty for a
            healthy program.
        build: Makes the `Run`. Takes no arguments; seeds are set before.
    """

    id: str
    story: str
    accepted: tuple[str, ...]
    build: Callable[[], Run]
