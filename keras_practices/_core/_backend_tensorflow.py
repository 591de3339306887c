"""Gradients and compilation on TensorFlow."""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from keras_practices._core.alike_steps import AlikeSteps
from keras_practices._core.fit_internals import LossMean
from keras_practices._core.fit_internals import made_by_keras
from keras_practices._core.graph_gradients import give_to_graphs


def compiled(function):
    """Returns `function` compiled; arguments are lists and dicts of tensors."""
    return tf.function(function, autograph=False, reduce_retracing=True)


def as_one(function):
    """Returns `function`: nothing is compiled operation by operation here."""
    return function


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


def own_copy(tensor):
    """Returns a copy as a NumPy array."""
    return np.array(keras.ops.convert_to_numpy(tensor))


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
        with watch.opened(trace=_trace) as seen:
            logs = original(data)
        return watch.add_figures(logs, seen, lambda: _values(seen.variables))

    return train_step


def _trace():
    # A model that is not built yet is called in a graph that is thrown away.
    return None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()


def watched_apply(optimizer, watch):
    """Returns `("apply", function)`; see `backend.watched_apply`."""
    original = optimizer.apply

    def apply(grads, trainable_variables=None):
        given, kept = list(grads), []
        with watch.noting() as seen:
            if seen is not None:
                variables = trainable_variables or optimizer._trainable_variables
                kept = _note(seen, optimizer, given, list(variables))
        if not optimizer.built:
            # It makes its variables now. What TensorFlow does with them must not
            # depend on us, and this trace is made again before it is run.
            kept = []
        # Entries that are picked after the update would keep a copy of all of them.
        # One node for all: else each operation of the update gets an edge from each.
        with tf.control_dependencies([tf.group(*kept)] if kept else []):
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
    if scale is not None:
        scale = scale.value
    else:
        # The first step of all is scaled with a number, before the optimizer is built.
        scale = getattr(optimizer, "initial_scale", optimizer.loss_scale_factor)
    if scale is not None:
        dense = [g / tf.cast(scale, g.dtype) for g in dense]
    seen.note_gradients([v for v, _ in known], dense)
    return kept


def _values(variables):
    return [tf.convert_to_tensor(v.value) for v in variables]


# An iterator in a graph ends with the second.
END_OF_DATA = (StopIteration, tf.errors.OutOfRangeError)


class CallTap:
    """Reads scalars around a call of a train function; see `backend.call_tap`."""

    def __init__(self, model, rate, trackers):
        self._rate = _reader(rate)
        self._mean = LossMean(trackers)
        self._count = None
        self._alike = None
        self._at_once = None
        self._traced = not model.run_eagerly
        self._spread = model.distribute_strategy.num_replicas_in_sync > 1

    @property
    def settled(self):
        """True when nothing is waited for any more."""
        return self._mean.settled

    def before(self, args, touched):
        """Returns `(arguments, rate, total and count of the mean where touched)`."""
        base, rate = None, self._read(self._rate())
        if touched and self._mean.trackers:
            base = _total_and_count(self._mean.trackers[0])
            self._mean.begin(base[1])
        if self._alike is not None:
            if touched:
                self._alike.begin(*base)
            self._alike.read(rate)
        return args, rate, base

    def _read(self, scalar):
        """A float where nothing is waited for: a tensor is read best while hot."""
        known = self._at_once and scalar is not None
        return float(scalar) if known else scalar

    def after(self, result):
        """Returns `(loss in the logs, its weight, whether that is the epoch's)`."""
        mean, loss = self._mean, result.get("loss")
        if mean.settled and self._at_once is None:
            # A step on the processor is done when its function returns.
            self._at_once = isinstance(loss, tf.Tensor) and "CPU" in loss.device
        if not mean.settled:
            states = [_total_and_count(tracker) for tracker in mean.trackers]
            total, count = states[0]
            if self._spread and loss is not None and count > 0:
                loss = total / count
            known = None if loss is None else float(loss)
            return loss, mean.look(known, states), True
        loss = self._read(loss)
        if not mean.trackers:
            return loss, None, False
        if self._spread:
            # The logs hold the mean of the replicas, whose shares may be uneven.
            total, count = _total_and_count(mean.trackers[0])
            return total / count if count else loss, count, True
        if self._count is None:
            self._count = count = _reader(mean.trackers[0].count)
            if self._at_once:
                self._alike = AlikeSteps(lambda: float(count()))
        if self._alike is None:
            return loss, self._count(), True
        return loss, self._alike.count(loss), True

    @property
    def sure(self):
        """Whether `mean_of` is enough of the next steps."""
        return self._alike is not None and self._alike.sure

    def mean_of(self, result):
        """Returns the loss in the logs: many are read faster than one at a time."""
        return result["loss"]

    def between(self, means):
        """Returns `(what after gives, rate)` of the steps that had these means."""
        rate, means = self._alike.rate, [float(mean) for mean in means]
        return [((m, n, True), rate) for m, n in self._alike.between(means)]

    def again(self, given, error):
        """Returns arguments to repeat a call with, None where a step was run."""
        # The graph is made as a whole before any of it is run.
        failed_running = isinstance(error, tf.errors.OpError)
        return given if self._traced and not failed_running else None


def _total_and_count(tracker):
    # Over replicas this is the sum; a handle would be that of the first of them.
    total, count = tracker.total.value, tracker.count.value
    return float(tf.convert_to_tensor(total)), float(tf.convert_to_tensor(count))


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
    """Returns Python floats of scalars, fetched together."""
    if scalars and all(isinstance(s, tf.Tensor) for s in scalars):
        with contextlib.suppress(tf.errors.InvalidArgumentError):  # of several kinds
            return tf.stack(scalars).numpy().astype("float64").tolist()
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


def shaped(tensor, *shape):
    """Returns a tensor in float32 and in another shape."""
    tensor = tf.cast(tensor, tf.float32)
    has = tensor.shape
    # Each node of a graph takes some 10 KB.
    if has.rank == len(shape) and all(
        w in (-1, d) for d, w in zip(has, shape, strict=True)
    ):
        return tensor
    return tf.reshape(tensor, shape)


def joined(tensors):
    """Returns tensors as one, along the first axis."""
    return tf.concat(tensors, 0)


def stacked(scalars):
    """Returns scalars as a tensor of rank 1."""
    return tf.stack(scalars)


def size(tensor):
    """Returns the number of entries, as a float32 scalar."""
    return tf.cast(tf.size(tensor), tf.float32)


def total(tensor):
    """Returns the sum of all entries, as a float32 scalar; of flags their number."""
    return tf.reduce_sum(tf.cast(tensor, tf.float32))


def square_distance(old, new):
    """Returns the sum of the squares of `new - old`."""
    return square_sum(new - old)


def alive(rows):
    """Returns 1.0 for each column with an entry that is above zero or NaN, else 0.0."""
    # TensorFlow's optimizer turns "not below or equal" into "above", which NaN is not.
    seen = tf.logical_or(rows > 0, tf.math.is_nan(rows))
    return tf.cast(tf.reduce_any(seen, 0), tf.float32)


def square_sum(tensor):
    """Returns the sum of the squares of a tensor, by the quickest of the ways."""
    half = tf.nn.l2_loss(tensor)
    return half + half  # a factor would be one more node of the graph each time


def replicas():
    """Returns by how much Keras divides a loss in the scope that we are called in."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def double_precision():
    """Returns a context that does nothing: TensorFlow has numbers of 64 bit."""
    return contextlib.nullcontext()


def forget_compiled():
    """Lets graphs go that nobody can call any more; see `give_to_graphs`."""
    with contextlib.suppress(ImportError, AttributeError):  # it has moved: they stay
        from tensorflow.python.framework import ops

        give_to_graphs(ops.gradient_registry._registry)


def run_once(function, *args):
    """Returns `function(*args)`, compiled for this one call."""
    # TensorFlow warns of functions that are traced at each call, as these must be.
    traced = tf.function(lambda: function(*args), autograph=False)
    return traced.get_concrete_function()()


def losses_nearby(loss_at, values, fixed):
    """Returns `run(places, steps)`, compiled; see `backend.losses_nearby`."""
    shapes = [value.shape for value in values]
    sizes = [value.shape.num_elements() for value in values]
    flat = tf.concat([tf.reshape(value, [-1]) for value in values], 0)

    def one(pair):
        place, step = pair
        moved = tf.split(tf.tensor_scatter_nd_add(flat, [[place]], [step]), sizes)
        parts = [tf.reshape(p, s) for p, s in zip(moved, shapes, strict=True)]
        return loss_at(parts, fixed)

    # Of any length, so that it is traced once.
    signature = [tf.TensorSpec([None], "int64"), tf.TensorSpec([None], flat.dtype)]

    @tf.function(autograph=False, input_signature=signature)
    def mapped(places, steps):
        return tf.map_fn(one, (places, steps), fn_output_signature=flat.dtype)

    traced = mapped.get_concrete_function()

    def run(places, steps):
        return traced(tf.constant(places, "int64"), tf.constant(steps)).numpy()

    return run


def unreached(loss_at, values, gradients):
    """Returns a list of flags, true where the tape found no way to a value."""
    return [gradient is None for gradient in gradients]


def traced(function):
    """Returns the function itself: Keras compiles what calls it."""
    return function
