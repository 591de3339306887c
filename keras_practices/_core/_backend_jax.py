"""Gradients and compilation on JAX."""

import jax
import keras
import numpy as np

from keras_practices._core.fit_internals import made_by_keras
from keras_practices._core.fit_internals import weighing


def compiled(function):
    """Returns `function` compiled; arguments are lists and dicts of arrays."""
    return jax.jit(function)


def value_and_gradients(function, values):
    """Returns `(scalar, aux)` of `function(values)` and its gradients.

    Args:
        function: Takes a list of arrays, returns `(scalar loss, anything)`.
        values: List of arrays to differentiate by.

    Returns:
        `((loss, aux), gradients)`; a value the loss does not depend on has zeros.
    """
    return jax.value_and_grad(function, has_aux=True)(values)


def training_step(loss_at, optimizer, trainable, others):
    """Returns a compiled `step(batch) -> loss` that updates the variables given.

    Args:
        loss_at: `(trainable values, other values, batch) -> (loss, other values)`.
        optimizer: Built on `trainable`.
        trainable: List of Keras variables.
        others: List of Keras variables (statistics, seeds).
    """

    @jax.jit
    def pure(values, kept, slots, batch):
        (loss, after), gradients = value_and_gradients(
            lambda given: loss_at(given, kept, batch), values
        )
        values, slots = optimizer.stateless_apply(slots, gradients, values)
        return loss, values, after, slots

    groups = (trainable, others, optimizer.variables)

    def step(batch):
        state = [[v.value for v in group] for group in groups]
        loss, *state = pure(*state, batch)
        for group, values in zip(groups, state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        return loss

    return step


def devices():
    """Returns the names of the devices that JAX can use."""
    return [device.device_kind for device in jax.devices()]


def watched_train_step(model, watch):
    """Returns a `train_step` that adds what `watch` measures to its logs.

    Activations inside the gradient belong to another trace. So the forward pass is
    traced a second time outside it; the compiler merges the two.
    """
    original = model.train_step

    def train_step(state, data):
        with watch.opened(calls=False) as seen:
            logs, after = original(state, data)
        with watch.opened(seen):
            x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
            with watch.noting():
                model.stateless_call(state[0], state[1], x, training=True)
        seen.note_weights(state[0], copied=False)
        return watch.add_figures(logs, seen, lambda: after[0]), after

    return train_step


def watched_apply(optimizer, watch):
    """Returns `("stateless_apply", function)`; see `backend.watched_apply`."""
    original = optimizer.stateless_apply

    def stateless_apply(optimizer_variables, grads, trainable_variables):
        with watch.noting() as seen:
            if seen is not None:
                _note(seen, optimizer, optimizer_variables, grads)
        return original(optimizer_variables, grads, trainable_variables)

    return "stateless_apply", stateless_apply


def _note(seen, optimizer, optimizer_variables, grads):
    dynamic = getattr(optimizer, "dynamic_scale", None)
    scale = optimizer.loss_scale_factor
    for variable, value in zip(optimizer.variables, optimizer_variables, strict=True):
        if variable is dynamic:
            scale = value
    if scale is not None:
        grads = [g / scale for g in grads]
    seen.note_gradients(optimizer._trainable_variables, grads)


class CallTap:
    """Reads scalars around a call of a train function; see `backend.call_tap`."""

    cumulative = False

    def __init__(self, model, rate, trackers):
        self._rate_at = _index(rate, model.optimizer.variables)
        places = [_index(m.count, model.metrics_variables) for m in trackers]
        self._counts_at = [place for place in places if place is not None]
        self._rate = None
        self._passed_on = None
        self._weigh = None

    def before(self, args):
        """Returns `(arguments for the call, rate of the steps to come)`."""
        state, iterator = args
        self._rows = []
        if self._rate_at is not None:
            value = state[2][self._rate_at]
            # A step hands the rate on as it is. Only a callback that brought the
            # state back to Python, and so waited for it, can have written another.
            if value is not self._passed_on:
                self._rate = float(value)
        return (state, self._counted(iterator)), self._rate

    def after(self, result):
        """Returns `(logs, weight of the loss of these steps or None)`."""
        logs, state = result
        if self._rate_at is not None:
            self._passed_on = state[2][self._rate_at]
        if self._weigh is None:
            counts = [float(state[3][place]) for place in self._counts_at]
            self._weigh = weighing(max(counts, default=0.0), self._rows)
        return logs, self._weigh(self._rows)

    def _counted(self, iterator):
        for data in iterator:
            leaf = next((x for x in jax.tree.leaves(data) if np.ndim(x)), None)
            self._rows.append(0 if leaf is None else leaf.shape[0])
            yield data


def _index(variable, variables):
    for index, one in enumerate(variables):
        if one is variable:
            return index
    return None


def floats(scalars):
    """Returns Python floats of scalars, fetched together."""
    if jax.default_backend() != "cpu":
        for scalar in scalars:
            if isinstance(scalar, jax.Array):
                scalar.copy_to_host_async()
    # A tenth of the cost of `jax.device_get`.
    return [float(np.asarray(scalar)) for scalar in scalars]


def wait_for(tree):
    """Waits until the device has computed the tensors of a tree."""
    leaves = keras.tree.flatten(tree)
    jax.block_until_ready([leaf for leaf in leaves if isinstance(leaf, jax.Array)])


def seldom(predicate, usual, rare):
    """Returns `usual()` or, where `predicate` holds, `rare()`."""
    return jax.lax.cond(predicate, rare, usual)


def train_function(model, train_step):
    """Returns a function that `fit` can call in the place of `model.train_function`."""
    return made_by_keras(model, train_step)
