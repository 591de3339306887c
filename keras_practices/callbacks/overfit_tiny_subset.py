"""A handful of rows learned by heart, before the first step of `fit`."""

from typing import Any

from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices.callbacks.before_fit import BeforeFit
from keras_practices.errors import ArgumentValueError
from keras_practices.measures import before
from keras_practices.measures.model_card import has_custom_train_step


class OverfitTinySubset(BeforeFit):
    """Checks before the first step that a handful of rows can be learned by heart.

    Trains on `n` rows at the side: weights, optimizer, BatchNorm statistics and seeds
    of the model are only read. Dropout, augmentation and weight penalties are off in
    the trial.

    State: `findings`, `losses` (of the trial). Cost: at most `steps` steps on `n`
    rows, at most `seconds` seconds.

    Args:
        data: As for `SanityCheck`.
        n: Int. Rows to learn by heart.
        steps: Int. Steps at the most.
        seconds: Number. Seconds at the most.
        on_failure: `"warn"` or `"stop"`, as for `SanityCheck`.

    Attributes:
        findings: List of `Finding` of the last run.
        losses: List of floats, the data loss of each trial step.

    Raises:
        TypeError, ValueError: bad arguments or data.

    Example:

    >>> import keras, numpy as np
    >>> x, y = np.random.default_rng(0).normal(size=(64, 9)), np.arange(64) % 3
    >>> model = keras.Sequential([keras.Input((9,)), keras.layers.Dense(3, "softmax")])
    >>> model.compile(keras.optimizers.Adam(0.1), "sparse_categorical_crossentropy")
    >>> check = OverfitTinySubset(data=(x, y), n=8)
    >>> history = model.fit(x, y, verbose=0, callbacks=[check])
    >>> check.findings, check.losses[-1] < 0.1 * check.losses[0]
    ([], True)

    References:
        CS231n, Neural Networks Part 3: "Overfit a tiny subset of data".
    """

    rules = ("initialization-symmetric", "cannot-overfit-tiny-subset")

    def __init__(
        self,
        data: Any,
        n: int = 20,
        *,
        steps: int = 200,
        seconds: float = 30.0,
        on_failure: str = "warn",
    ):
        super().__init__(data, on_failure=on_failure)
        self.n = check_integer(self, "n", n, low=1)
        self.steps = check_integer(self, "steps", steps, low=1)
        self.seconds = check_number(self, "seconds", seconds, low=0, closed="neither")
        self.losses: list[float] = []

    def measure(self, model, sample):
        """Returns the figures that the rules of this check read."""
        self.losses = []
        if has_custom_train_step(model):
            raise ArgumentValueError(
                "OverfitTinySubset: the model trains by a train_step of its own, which "
                "cannot be run beside the model. Remove the callback."
            )
        floor = before.figures_of_outputs(model, sample)["floor"]
        figures = before.figures_of_tiny_subset(
            model, sample, floor, rows=self.n, steps=self.steps, seconds=self.seconds
        )
        self.losses = figures["tiny_subset"]["losses"]
        return figures
