"""Gradients and compilation on TensorFlow."""

import keras
import tensorflow as tf

from keras_practices._core.fit_internals import made_by_keras


def compiled(function):
    """Returns `function` compiled; arguments are lists and dicts of tensors."""
    return tf.function(function, autograph=False, reduce_retracing=True)


def value_and_gradients(function, values):
    """Returns `(scalar, aux)` of `function(values)` and its gradients.

    Args:
        function: Takes a list of tensors, returns `(scalar loss, anything)`.
        values: List of tensors to differentiate by.

    Returns:
        `((loss, aux), gradients)`; a value the loss does not depend on has None.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(values)
        loss, aux = function(values)
    gradients = tape.gradient(loss, values)
    return (loss, aux), [
        tf.convert_to_tensor(g) if isinstance(g, tf.IndexedSlices) else g
        for g in gradients
    ]


def training_step(loss_at, optimizer, trainable, others):
    """Returns a compiled `step(batch) -> loss` that updates the variables given.

    Args:
        loss_at: `(trainable values, other values, batch) -> (loss, other values)`.
        optimizer: Built on `trainable`.
        trainable: List of Keras variables.
        others: List of Keras variables (statistics, seeds).
    """

    def step(batch):
        kept = [tf.convert_to_tensor(v.value) for v in others]
        (loss, after), gradients = value_and_gradients(
            lambda values: loss_at(values, kept, batch),
            [tf.convert_to_tensor(v.value) for v in trainable],
        )
        filled = [
            tf.zeros_like(v.value) if g is None else g
            for g, v in zip(gradients, trainable, strict=True)
        ]
        optimizer.apply(filled, trainable)
        for variable, value in zip(others, after, strict=True):
            variable.assign(value)
        return loss

    return compiled(step)


def devices():
    """Returns the names of the devices that TensorFlow can use."""
    found = tf.config.list_physical_devices()
    details = [tf.config.experimental.get_device_details(d) for d in found]
    return [
        detail.get("device_name", device.device_type)
        for device, detail in zip(found, details, strict=True)
    ]


def watched_train_step(model, watch):
    """Returns a `train_step` that adds what `watch` measures to its logs."""
    original = model.train_step

    def train_step(data):
        with watch.opened() as seen:
            logs = original(data)
        return watch.add_figures(logs, seen, lambda: _values(seen.variables))

    return train_step


def watched_apply(optimizer, watch):
    """Returns `("apply", function)`; see `backend.watched_apply`."""
    original = optimizer.apply

    def apply(grads, trainable_variables=None):
        given, kept = list(grads), []
        with watch.noting() as seen:
            if seen is not None:
                variables = trainable_variables or optimizer._trainable_variables
                kept = _note(seen, optimizer, given, list(variables))
        # Entries that are picked after the update would keep a copy of all of them.
        with tf.control_dependencies(kept):
            return original(given, trainable_variables)

    return "apply", apply


def _note(seen, optimizer, grads, variables):
    # Read before the update; the buffer is shared until the update writes.
    kept = seen.note_weights(_values(seen.variables))
    known = [(v, g) for v, g in zip(variables, grads, strict=True) if g is not None]
    # Rows of an embedding that stand twice among the slices are added up here.
    dense = [tf.convert_to_tensor(g) for _, g in known]
    context = tf.distribute.get_replica_context()
    if dense and context is not None and context.num_replicas_in_sync > 1:
        # Each replica has the gradient of its share of the global batch.
        dense = context.all_reduce(tf.distribute.ReduceOp.SUM, dense)
    scale = getattr(optimizer, "dynamic_scale", None)
    scale = optimizer.loss_scale_factor if scale is None else scale.value
    if scale is not None:
        dense = [g / tf.cast(scale, g.dtype) for g in dense]
    seen.note_gradients([v for v, _ in known], dense)
    return kept


def _values(variables):
    return [tf.convert_to_tensor(v.value) for v in variables]


class CallTap:
    """Reads scalars around a call of a train function; see `backend.call_tap`."""

    cumulative = True

    def __init__(self, model, rate, trackers):
        self._rate = _reader(rate)
        self._trackers = trackers
        self._weight = None

    def before(self, args):
        """Returns `(arguments for the call, rate of the steps to come)`."""
        return args, self._rate()

    def after(self, result):
        """Returns `(logs, weight of the epoch's loss so far)`."""
        if self._weight is None:
            used = [m.count for m in self._trackers if float(m.count.value) > 0]
            self._weight = _reader(used[0] if used else None)
        return result, self._weight()


def _reader(variable):
    if variable is None:
        return lambda: None
    try:
        handle, dtype = variable.value.handle, variable.value.dtype
        tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype)
    except Exception:  # one that is spread over replicas
        return lambda: tf.convert_to_tensor(variable.value)
    # A quarter of the cost of `read_value`, which is paid at every step.
    return lambda: tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype)


def floats(scalars):
    """Returns Python floats of scalars."""
    return [float(scalar) for scalar in scalars]


def wait_for(tree):
    """Waits until the device has computed the tensors of a tree."""
    for tensor in keras.tree.flatten(tree):
        if isinstance(tensor, tf.Tensor):
            tensor.numpy()


def seldom(predicate, usual, rare):
    """Returns `usual()` or, where `predicate` holds, `rare()`."""
    return tf.cond(predicate, rare, usual)


def train_function(model, train_step):
    """Returns a function that `fit` can call in the place of `model.train_function`."""
    return made_by_keras(model, train_step)
