"""What we touch of the inside of Keras's `fit`, in one place.

`model.train_function`, `model.make_train_function` and `model.history` are not part
of Keras's documented interface. They are as expected in the versions named below
(`tests/core/test_fit_internals.py`); where one is missing the monitor goes on without
the figures of the steps and says so once.
"""

import contextlib

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


def weighing(count, rows):
    """Returns how batches weigh in the mean of the loss, told from the first call.

    Args:
        count: Sum of the weights in the loss tracker after the first call.
        rows: List of the rows of each batch of that call.

    Returns:
        Function from such a list to a weight, or to None when the first call left the
        tracker as it was: then the model reports each loss by itself.
    """
    if count == 0:
        return lambda rows: None
    if count == len(rows) != sum(rows):
        return lambda rows: float(len(rows))
    return lambda rows: float(sum(rows))


def loss_trackers(model):
    """Returns the metrics of a model that may hold the mean of its loss."""
    return [
        metric
        for metric in model.metrics
        if metric.name == "loss" and isinstance(metric, keras.metrics.Mean)
    ]


def rate_variable(optimizer):
    """Returns the variable of an optimizer's learning rate; None for a schedule."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    rate = getattr(optimizer, "_learning_rate", None)
    return rate if isinstance(rate, keras.Variable) else None


def rate_schedule(optimizer):
    """Returns an optimizer's schedule of the learning rate, or None."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    rate = getattr(optimizer, "_learning_rate", None)
    schedule = keras.optimizers.schedules.LearningRateSchedule
    return rate if isinstance(rate, schedule) else None


def kept_by(function, name, make):
    """Returns what `make()` gave, kept as an attribute of a model's train function.

    A second `fit` finds it there; `compile` drops the function and all that it keeps.
    Nothing of it is saved with the model.
    """
    known = getattr(function, _KEPT, None)
    if known is None:
        known = {}
        with contextlib.suppress(AttributeError):
            setattr(function, _KEPT, known)
    if name not in known:
        known[name] = make()
    return known[name]


def raw_iterations(optimizer):
    """Returns the count of batches that a schedule is asked with."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    # `iterations` counts the updates, fewer than that with accumulated gradients.
    count = getattr(optimizer, "_iterations", None)
    count = optimizer.iterations if count is None else count
    return int(keras.ops.convert_to_numpy(count))
