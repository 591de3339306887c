"""What each row adds to accuracy and loss: figures that can be resampled."""

from typing import Any

import keras
import numpy as np

from keras_practices._core.validation import check_choice
from keras_practices._core.validation import value_error
from keras_practices.ensembles.outputs import FAMILIES
from keras_practices.ensembles.outputs import finished_arrays

METRICS = ("accuracy", "loss")


class Scorer:
    """Scores combined contributions against the targets of some rows, in float64.

    Args:
        owner: Name that messages begin with.
        y: Targets: class numbers, one-hot rows, labels or numbers.
        like: Array of one member's contributions, `(rows, …)`.
        kind: Kind of the output.
        way: How the output is combined.

    Raises:
        ValueError: targets that do not go with the outputs.
    """

    def __init__(self, owner: str, y: Any, like: Any, kind: str, way: str):
        self.owner, self.kind, self.way = owner, kind, way
        self.family = FAMILIES[kind]
        self.targets = self._targets(np.asarray(y), like.shape)

    def check_metric(self, metric: str | None) -> str:
        """Returns the metric, `"accuracy"` or `"loss"`, the usual one for None."""
        if metric is None:
            return "loss" if self.family == "numbers" else "accuracy"
        check_choice(self.owner, "metric", metric, METRICS)
        if metric == "accuracy" and self.family == "numbers":
            advice = "The members give numbers."
            raise value_error(self.owner, "metric", "'loss'", metric, advice)
        if metric == "loss" and self.kind == "scores" and self.way == "mean":
            advice = "A mean of scores has no probability."
            raise value_error(self.owner, "metric", "'accuracy'", metric, advice)
        return metric

    def rows(self, total: Any, metric: str) -> Any:
        """Returns the accuracy or loss of each row, from the weighted sum.

        Args:
            total: Array `(rows, …)`: contributions times weights that sum to one.
            metric: `"accuracy"` or `"loss"`: in nats for classes and labels, the
                squared error for numbers.
        """
        if metric == "accuracy":
            values = self.right(total)
        else:
            values = self._losses(self._probabilities(total))
        return values.reshape(len(values), -1).mean(axis=1)

    def right(self, total: Any) -> Any:
        """Returns 1.0 for each answer that is right, else 0.0."""
        if self.family == "classes":
            # The largest contribution is the largest probability, in every way.
            return (total.argmax(axis=-1) == self.classes()).astype("float64")
        yes = self._probabilities(total) > 0.5
        return (yes == (self.targets > 0.5)).astype("float64")

    def answers(self, total: Any) -> Any:
        """Returns the answers: class numbers, labels, or numbers."""
        if self.family == "classes":
            return total.argmax(axis=-1)
        if self.family == "labels":
            return (self._probabilities(total) > 0.5).astype(int)
        return total

    def errors(self, total: Any) -> Any:
        """Returns what is wrong in each answer: 0 or 1, of numbers the residual."""
        if self.family == "numbers":
            return total - self.targets
        return 1 - self.right(total)

    def classes(self) -> Any:
        """Returns the class numbers of the targets."""
        whole = self.targets.dtype.kind in "iu"
        return self.targets if whole else self.targets.argmax(axis=-1)

    def _probabilities(self, total):
        if self.way != "mean":
            return finished_arrays(total, self.kind, self.way)
        if self.kind.endswith("_logits"):
            return finished_arrays(total, self.kind, "logits")
        return total

    def _losses(self, given):
        if self.family == "numbers":
            return (given - self.targets) ** 2
        # As Keras's own losses: a vote of nobody would cost infinitely much.
        inside = np.clip(given, keras.config.epsilon(), 1 - keras.config.epsilon())
        if self.family == "labels":
            yes, no = self.targets, 1 - self.targets
            return -(yes * np.log(inside) + no * np.log(1 - inside))
        if self.targets.dtype.kind in "iu":
            places = self.targets[..., None]
            return -np.log(np.take_along_axis(inside, places, axis=-1))[..., 0]
        return -(self.targets * np.log(inside)).sum(axis=-1)

    def _targets(self, y, shape):
        expected = f"targets for outputs of shape {tuple(shape)}"
        if y.dtype == object or len(y) != shape[0]:
            raise value_error(self.owner, "y", expected, f"shape {y.shape}")
        if not np.isfinite(y.astype("float64")).all():
            raise value_error(self.owner, "y", "finite numbers", "NaN or infinity")
        if self.family == "classes":
            return self._class_targets(y, shape, expected)
        if y.shape != shape and y.size == np.prod(shape):
            y = y.reshape(shape)
        if y.shape != shape:
            raise value_error(self.owner, "y", expected, f"shape {y.shape}")
        return y.astype("float64")

    def _class_targets(self, y, shape, expected):
        if y.shape == shape and shape[-1] > 1:
            return y.astype("float64")
        if y.shape == (*shape[:-1], 1):
            y = y[..., 0]
        whole = np.array_equal(y, np.round(y))
        if y.shape != shape[:-1] or not whole:
            raise value_error(self.owner, "y", expected, f"shape {y.shape}")
        if y.min() < 0 or y.max() >= shape[-1]:
            expected = f"class numbers from 0 to {shape[-1] - 1}"
            raise value_error(self.owner, "y", expected, [int(y.min()), int(y.max())])
        return y.astype("int64")


def output_place(owner: str, structure: Any, output: Any) -> int:
    """Returns the place of one output among the flat outputs.

    Args:
        owner: Name that messages begin with.
        structure: Structure of the outputs.
        output: Key or place in it, or None where there is one.

    Raises:
        ValueError: several outputs and none named; an output that is not there.
    """
    if not isinstance(structure, dict | list | tuple):
        if output is not None:
            raise value_error(owner, "output", "None, as there is one", output)
        return 0
    # A dict is flattened in the order of its sorted keys.
    is_dict = isinstance(structure, dict)
    names = sorted(structure) if is_dict else list(range(len(structure)))
    if len(names) == 1 and output is None:
        return 0
    if output not in names:
        raise value_error(owner, "output", f"one of {names}", output)
    return names.index(output)
