"""The one door to what differs between backends."""

import functools
import importlib

import keras


@functools.cache
def _module():
    return importlib.import_module(
        f"keras_practices._core._backend_{keras.backend.backend()}"
    )


def compiled(function):
    """Returns `function` compiled by the backend (on PyTorch: without gradients)."""
    return _module().compiled(function)


def as_one(function):
    """Returns `function` to be run as one program, not operation by operation.

    JAX compiles every operation that is called outside a compiled function by itself
    and keeps it: about a megabyte each, and more seconds than the whole takes. A
    function that cannot be compiled, since it reads values in Python, is run as it is,
    and so is every function on TensorFlow and PyTorch.

    Args:
        function: Takes and gives lists and dicts of tensors, and writes nothing. Large
            tensors are arguments: what it closes over is compiled into the program.
    """
    return _module().as_one(function)


def value_and_gradients(function, values):
    """Returns `((loss, aux), gradients)` of `function(values) -> (loss, aux)`."""
    return _module().value_and_gradients(function, values)


def training_step(loss_at, optimizer, trainable, others):
    """Returns `step(batch) -> loss` that updates variables beside the model."""
    return _module().training_step(loss_at, optimizer, trainable, others)


def own_copy(tensor):
    """Returns a tensor's values in memory of their own, to make a variable of."""
    return _module().own_copy(tensor)


def devices():
    """Returns the names of the devices that the backend can use."""
    return _module().devices()


def watched_train_step(model, watch):
    """Returns a `train_step` that adds what `watch` measures to its logs.

    Args:
        model: A compiled Keras model.
        watch: A `keras_practices.measures.step_figures.StepFigures`.

    Returns:
        Function with the arguments of the model's own `train_step`.
    """
    return _module().watched_train_step(model, watch)


def watched_apply(optimizer, watch):
    """Returns `(name, function)`: the optimizer's entry point, watched.

    The function is to stand on the instance under that name while a watched step is
    traced or run. It hands weights before the update and gradients (unscaled, of the
    global batch) to `watch`.
    """
    return _module().watched_apply(optimizer, watch)


def replicas():
    """Returns by how much Keras divides a loss in the scope that we are called in."""
    return _module().replicas()


def train_function(model, train_step):
    """Returns what `fit` can call in the place of `model.train_function`."""
    return _module().train_function(model, train_step)


def end_of_data():
    """Returns the exceptions by which a train function says that an epoch ends."""
    return _module().END_OF_DATA


def call_tap(model, rate, trackers):
    """Returns what reads rate and weight of the loss around a call of a step.

    Nothing waits for the device after the first two calls; `floats` fetches the
    scalars.

    Args:
        model: A compiled Keras model inside `fit`.
        rate: The optimizer's `keras.Variable` of the rate, or None.
        trackers: `keras.metrics.Mean` objects, one of which may track the loss.

    Returns:
        Object with `settled`, False as long as calls are waited for, `sure`, and
        methods.
        `before(args, touched)` gives `(args for the call, rate, (total, count) of the
        mean loss)`, the last one None unless `touched`: whether metrics may have been
        written since the last call. `after(result)` gives `(loss in the logs, weight,
        cumulative)`; a weight of None says that the logs hold the loss of the batch
        itself, `cumulative` that the weight is a sum over the epoch. `again(args,
        error)` gives arguments to repeat a call with that raised, or None where part
        of it was run. While `sure` holds, `mean_of(result)` is enough of a call that is
        not the last of an epoch, without a `before`; `between(means)` gives
        `(what after gives, rate)` of each such call before the next thing is asked.
    """
    return _module().CallTap(model, rate, trackers)


def floats(scalars):
    """Returns Python floats of backend scalars, waiting for them where needed."""
    return _module().floats(scalars)


def wait_for(tree):
    """Waits until the device has computed the tensors of a tree."""
    _module().wait_for(tree)


# Sums for the figures of a step. PyTorch runs them one by one, and there `keras.ops`
# would take longer than the sum.


def shaped(tensor, *shape):
    """Returns a tensor in float32 and in another shape."""
    return _module().shaped(tensor, *shape)


def joined(tensors):
    """Returns tensors as one, along the first axis."""
    return _module().joined(tensors)


def stacked(scalars):
    """Returns scalars as a tensor of rank 1."""
    return _module().stacked(scalars)


def size(tensor):
    """Returns the number of entries, as a float32 scalar."""
    return _module().size(tensor)


def total(tensor):
    """Returns the sum of all entries, as a float32 scalar; of flags their number."""
    return _module().total(tensor)


def square_sum(tensor):
    """Returns the sum of the squares of a float tensor, a scalar."""
    return _module().square_sum(tensor)


def square_distance(old, new):
    """Returns the sum of the squares of `new - old`, and may write into `old`."""
    return _module().square_distance(old, new)


def alive(rows):
    """Returns 1.0 for each column with an entry that is above zero or NaN, else 0.0."""
    return _module().alive(rows)


def seldom(predicate, usual, rare):
    """Returns `usual()` or, where the scalar `predicate` holds, `rare()`.

    Both give one tensor of the same shape. On a GPU under PyTorch the answer would
    have to be waited for, so `rare`, which must be right in any case, is run there.
    """
    return _module().seldom(predicate, usual, rare)


# The gradient check.


def double_precision():
    """Returns a context in which the backend has numbers of 64 bit."""
    return _module().double_precision()


def forget_compiled():
    """Drops what was compiled, where the backend would keep it for ever."""
    return _module().forget_compiled()


def run_once(function, *args):
    """Returns `function(*args)`, compiled for this one call where that is faster."""
    return _module().run_once(function, *args)


def losses_nearby(loss_at, values, fixed):
    """Returns `run(places, steps)`: losses with one weight moved, many in a call.

    Args:
        loss_at: `(list of tensors, fixed) -> scalar loss`.
        values: List of float64 tensors, where to start.
        fixed: Lists and dicts of tensors, handed on as they are.

    Returns:
        Function of two NumPy arrays of the same length, which gives that many losses
        as a NumPy array. A place counts through the entries of all `values`, laid end
        to end; the step is added to that one entry.
    """
    return _module().losses_nearby(loss_at, values, fixed)


def unreached(loss_at, values, gradients):
    """Returns a list of flags: the loss hands no gradient back to this value.

    A gradient that happens to be zero, behind dead units or a zero weight, is none of
    these: there is a way, and nothing came along it this time.

    Args:
        loss_at: `list of tensors -> scalar loss`.
        values: List of tensors.
        gradients: What `value_and_gradients` gave for them.
    """
    return _module().unreached(loss_at, values, gradients)


def traced(function):
    """Returns `function` without what Python does around its sums, and no gradients.

    PyTorch runs a model layer by layer, and the way through Keras to a small sum takes
    longer than the sum. TensorFlow and JAX compile a model's `predict` anyway, and get
    the function itself.

    Args:
        function: `(*tensors) -> list of tensors`. What it does may depend on shapes and
            types of the tensors, and on nothing else that can change.
    """
    return _module().traced(function)
