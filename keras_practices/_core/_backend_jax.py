"""Gradients and compilation on JAX."""

import functools
import itertools

import jax
import jax.extend
import jax.numpy as jnp
import keras
import numpy as np

from keras_practices._core.fit_internals import LossMean
from keras_practices._core.fit_internals import made_by_keras
from keras_practices._core.inside_gradient import watched_step


def compiled(function):
    """Returns `function` compiled; arguments are lists and dicts of arrays."""
    return jax.jit(function)


def as_one(function):
    """Returns `function` compiled where it can be; see `backend.as_one`."""
    traced = jax.jit(function)

    def run(*args):
        nonlocal traced
        if traced is not None:
            try:
                return traced(*args)
            except Exception:
                # It reads values in Python, or it is wrong: then it raises once more.
                traced = None
        return function(*args)

    return run


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

    # What a step replaces is given away: a large model need not be held twice.
    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
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


def own_copy(tensor):
    """Returns a copy on the device; one by way of NumPy would take twice as much."""
    return jax.device_put(tensor, may_alias=False)


def devices():
    """Returns the names of the devices that JAX can use."""
    return [device.device_kind for device in jax.devices()]


def watched_train_step(model, watch):
    """Returns a `train_step` that adds what `watch` measures to its logs."""
    return watched_step(model, watch, _trace)


def _trace():
    return jax.extend.core.get_opaque_trace_state(convention="flax")


def watched_apply(optimizer, watch):
    """Returns `("stateless_apply", function)`; see `backend.watched_apply`."""
    original = optimizer.stateless_apply

    def stateless_apply(optimizer_variables, grads, trainable_variables):
        with watch.noting() as seen:
            if seen is not None:
                _note(seen, optimizer, optimizer_variables, grads)
                trainable_variables = seen.measured_first(
                    optimizer._trainable_variables, trainable_variables
                )
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
    # What measures a gradient is not to be fused with what computes it: that would
    # round in another way than the plain step does.
    grads = [jax.lax.optimization_barrier(g) for g in grads]
    seen.note_gradients(optimizer._trainable_variables, grads)


END_OF_DATA = (StopIteration,)


class CallTap:
    """Reads scalars around a call of a train function; see `backend.call_tap`."""

    sure = False  # nothing is read here that would cost a step something

    def __init__(self, model, rate, trackers):
        self._rate_at = _index(rate, model.optimizer.variables)
        variables = model.metrics_variables
        self._mean = LossMean([m for m in trackers if _places(m, variables)])
        self._places = {id(m): _places(m, variables) for m in trackers}
        self._traced = model.jit_compile and not model.run_eagerly
        self._rate = None
        self._passed_on = None
        self._weigh = None

    @property
    def settled(self):
        """True when nothing is waited for any more."""
        return self._mean.settled

    def before(self, args, touched):
        """Returns `(arguments, rate, total and count of the mean where touched)`."""
        state, iterator = args
        self._rows, self._batches, self._reading = [], [], False
        base = None
        if self._rate_at is not None:
            value = state[2][self._rate_at]
            # A step hands the rate on as it is. Only a callback that brought the
            # state back to Python, and so waited for it, can have written another.
            if value is not self._passed_on:
                self._rate = float(value)
        if touched and self._mean.trackers:
            base = self._total_and_count(state, self._mean.trackers[0])
            self._mean.begin(base[1])
        return (state, self._counted(iterator)), self._rate, base

    def after(self, result):
        """Returns `(loss in the logs, its weight, whether that is the epoch's)`."""
        self._batches = []
        logs, state = result
        if self._rate_at is not None:
            self._passed_on = state[2][self._rate_at]
        mean, loss = self._mean, logs.get("loss")
        if self._weigh is not None:
            # The common case, first: after a step none of our code is in the cache.
            return loss, float(self._weigh(self._rows)), False
        if not mean.settled:
            known = None if loss is None else float(loss)
            states = [self._total_and_count(state, m) for m in mean.trackers]
            weight = mean.look(known, states, self._rows)
            self._weigh = mean.weigh
            return loss, weight, True
        if not mean.trackers:
            return loss, None, False
        # A copy: the next step is given the state to write into.
        count = state[3][self._places[id(mean.trackers[0])][1]]
        return loss, jnp.copy(count), True

    def again(self, given, error):
        """Returns arguments to repeat a call with, None where a step was run."""
        state, iterator = given
        given_away = any(leaf.is_deleted() for leaf in jax.tree.leaves(state))
        if self._reading or given_away or not self._traced:
            return None
        return state, itertools.chain(self._batches, iterator)

    def _total_and_count(self, state, tracker):
        total, count = self._places[id(tracker)]
        return float(state[3][total]), float(state[3][count])

    def _counted(self, iterator):
        self._reading = True
        for data in iterator:
            self._reading = False
            self._rows.append(_rows(data))
            self._batches.append(data)
            yield data
            self._reading = True


def _rows(data):
    """Rows of a batch: the first length in it."""
    first = data[0] if isinstance(data, list | tuple) and data else data
    shape = getattr(first, "shape", None)
    if not shape:
        shaped = (x for x in jax.tree.leaves(data) if np.ndim(x))
        shape = getattr(next(shaped, None), "shape", (0,))
    return shape[0]


def _places(tracker, variables):
    """Where total and count of a metric stand, None where they do not."""
    places = [_index(v, variables) for v in (tracker.total, tracker.count)]
    return None if None in places else places


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


def shaped(tensor, *shape):
    """Returns an array in float32 and in another shape."""
    return jnp.reshape(tensor, shape).astype("float32")


def joined(tensors):
    """Returns arrays as one, along the first axis."""
    return jnp.concatenate(tensors)


def stacked(scalars):
    """Returns scalars as an array of rank 1."""
    return jnp.stack(scalars)


def size(tensor):
    """Returns the number of entries, as a float32 scalar."""
    return jnp.float32(tensor.size)


def total(tensor):
    """Returns the sum of all entries, as a float32 scalar; of flags their number."""
    return jnp.sum(tensor, dtype="float32")


def square_distance(old, new):
    """Returns the sum of the squares of `new - old`."""
    return square_sum(new - old)


def alive(rows):
    """Returns 1.0 for each column with an entry that is above zero or NaN, else 0.0."""
    return ((rows > 0) | jnp.isnan(rows)).any(0).astype("float32")


def square_sum(tensor):
    """Returns the sum of the squares of a tensor."""
    return jnp.sum(jnp.square(tensor))


def replicas():
    """Returns 1: losses are those of the global batch."""
    return 1


def double_precision():
    """Returns a context in which JAX has numbers of 64 bit."""
    return jax.enable_x64(True)


def forget_compiled():
    """Empties the caches of JAX; what is needed again is compiled again."""
    jax.clear_caches()


def run_once(function, *args):
    """Returns `function(*args)`, compiled for this one call."""
    return jax.jit(function)(*args)


# Losses in one call of the compiled loop.
_LOSSES = 2048


def losses_nearby(loss_at, values, fixed):
    """Returns `run(places, steps)`, compiled; see `backend.losses_nearby`."""
    shapes = [value.shape for value in values]
    ends = np.cumsum([value.size for value in values])[:-1]
    flat = jnp.concatenate([jnp.ravel(value) for value in values])

    @jax.jit
    def loop(flat, fixed, places, steps, count):
        def one(index, losses):
            moved = jnp.split(flat.at[places[index]].add(steps[index]), ends)
            parts = [jnp.reshape(p, s) for p, s in zip(moved, shapes, strict=True)]
            return losses.at[index].set(loss_at(parts, fixed))

        # Of any length, so that it is compiled once.
        return jax.lax.fori_loop(0, count, one, jnp.zeros_like(steps))

    def run(places, steps):
        found = []
        for begin in range(0, len(places), _LOSSES):
            part = slice(begin, begin + _LOSSES)
            count = len(places[part])
            padded = [np.resize(given[part], _LOSSES) for given in (places, steps)]
            found.append(np.asarray(loop(flat, fixed, *padded, count))[:count])
        return np.concatenate(found)

    return run


def unreached(loss_at, values, gradients):
    """Returns a list of flags, true where a gradient is zero whatever the values are.

    JAX gives zeros both ways. Where there is no way to a value they are written down
    as a constant in the traced gradient, which then follows from no input.
    """
    traced = jax.make_jaxpr(jax.grad(loss_at))(values).jaxpr
    made = {id(v): equation for equation in traced.eqns for v in equation.outvars}
    return [
        not np.any(gradient) and _is_constant(out, made)
        for out, gradient in zip(traced.outvars, gradients, strict=True)
    ]


def _is_constant(out, made):
    todo, seen = [out], set()
    while todo:
        one = todo.pop()
        if isinstance(one, jax.extend.core.Literal) or id(one) in seen:
            continue
        if id(one) not in made:
            return False
        seen.add(id(one))
        todo += made[id(one)].invars
    return True


def traced(function):
    """Returns the function itself: Keras compiles what calls it."""
    return function
