"""What we touch of the inside of Keras's `fit`, in one place.

`model.train_function`, `model.make_train_function` and `model.history` are not part
of Keras's documented interface, nor is that `evaluate` and others begin with
`model.reset_metrics` and `fit` with a new list in `History.epoch`. They are as expected
in the versions named below (`tests/core/test_fit_internals.py`); where one is missing
the monitor goes on without the figures of the steps and says so once.
"""

import contextlib
import math

import keras

# Proven by the tests.
KERAS_VERSIONS = ("3.15",)
_KEPT = "_keras_practices"


def made_by_keras(model, train_step):
    """Has Keras make a second train function around another train step.

    Args:
        model: A compiled Keras model.
        train_step: Function in the place of `model.train_step`.

    Returns:
        The train function. The model keeps its own step and its own function.
    """
    own, function = model.__dict__.get("train_step"), model.train_function
    # Past Keras's attribute tracking: this is no state of the model.
    model.__dict__["train_step"] = train_step
    model.train_function = None
    try:
        model.make_train_function()
        return model.train_function
    finally:
        model.train_function = function
        if own is None:
            del model.__dict__["train_step"]
        else:
            model.__dict__["train_step"] = own


class LossMean:
    """Tells how the loss in the logs follows from the losses of the batches.

    Keras logs the mean over the epoch so far, which a metric holds. A train step of
    the user's own may weigh batches in its own way, hold the mean in a metric of
    another name, or log the loss of each batch by itself. So the metrics are compared
    with the logs of the first two calls; later ones are not waited for.

    Args:
        trackers: From `loss_trackers`.

    Attributes:
        trackers: Those that may still be the mean, the likeliest first.
    """

    def __init__(self, trackers):
        self.trackers = list(trackers)
        self._looks = 0
        self._count = 0.0
        self._weights = [sum, len]  # each row counts, or each call
        self._weight = None

    @property
    def settled(self):
        """True when there is nothing left to find out."""
        return self._looks == 2 or not self.trackers

    def begin(self, count):
        """Notes the count that the likeliest tracker has before the next call."""
        self._count = count

    def look(self, loss, states, rows=()):
        """Compares the trackers with the logs after one of the first calls.

        Args:
            loss: Loss in the logs, float or None.
            states: List of `(total, count)` of each of the `trackers`.
            rows: Rows of each batch in the call.

        Returns:
            Count of the likeliest tracker, None where no tracker holds the loss.
        """
        self._looks += 1
        known = [
            (tracker, count)
            for tracker, (total, count) in zip(self.trackers, states, strict=True)
            if loss is not None and count > 0 and _same(total / count, loss)
        ]
        self.trackers = [tracker for tracker, _ in known]
        if not known:
            return None
        count = known[0][1]
        gained = count - self._count
        self._weights = [weigh for weigh in self._weights if weigh(rows) == gained]
        self._weight = self._weights[0] if len(self._weights) == 1 else None
        self._count = count
        return count

    def weight_of(self, rows):
        """Weight of a call in the mean, None where only the tracker knows it.

        Args:
            rows: List of the rows of each batch in the call.
        """
        return None if self.weigh is None else float(self.weigh(rows))

    @property
    def weigh(self):
        """Function of the rows of a call, its weight; None where there is none."""
        return self._weight if self.settled and self.trackers else None


def _same(one, other):
    # Compiled code may divide in another way, by a digit in the seventh place.
    return math.isclose(one, other, rel_tol=1e-6) or str(one) == str(other)


def loss_trackers(model):
    """Returns the metrics of a model that may hold the mean of its loss.

    Keras's own is named "loss"; it comes first.
    """
    means = [metric for metric in model.metrics if type(metric) is keras.metrics.Mean]
    return sorted(means, key=lambda metric: metric.name != "loss")


def compile_arguments(model):
    """Returns the arguments that `model.compile` was given, or None.

    `model.get_compile_config()` writes them down, and loads TensorFlow for it.
    """
    kept = getattr(model, "_compile_config", None)
    return getattr(kept, "config", None)


def is_train_on_batch(frame):
    """True where a train function is called by `train_on_batch`, not by `fit`."""
    return frame.f_code.co_name == "train_on_batch"


def rate_variable(optimizer):
    """Returns the variable of an optimizer's learning rate, or None.

    A schedule has none, and neither has an optimizer of several: it holds a 0.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if hasattr(optimizer, "_inner_optimizers"):
        return None
    rate = getattr(optimizer, "_learning_rate", None)
    return rate if isinstance(rate, keras.Variable) else None


def rate_schedule(optimizer):
    """Returns an optimizer's schedule of the learning rate, or None."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    rate = getattr(optimizer, "_learning_rate", None)
    schedule = keras.optimizers.schedules.LearningRateSchedule
    return rate if isinstance(rate, schedule) else None


def kept_by(function, name, make):
    """Returns what `make()` gave, and whether it was called now.

    It is kept as an attribute of a model's train function. A second `fit` finds it
    there; `compile` drops the function and all that it keeps. Nothing of it is saved
    with the model.
    """
    # The stand-in of a monitor beside us, or of an interrupted `fit`, is put away.
    function = getattr(function, "plain", function)
    known = getattr(function, _KEPT, None)
    if known is None:
        known = {}
        with contextlib.suppress(AttributeError):
            setattr(function, _KEPT, known)
    made = name not in known
    if made:
        known[name] = make()
    return known[name], made


def raw_iterations(optimizer):
    """Returns the count of batches that a schedule is asked with."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    # `iterations` counts the updates, fewer than that with accumulated gradients.
    count = getattr(optimizer, "_iterations", None)
    count = optimizer.iterations if count is None else count
    return int(keras.ops.convert_to_numpy(count))
