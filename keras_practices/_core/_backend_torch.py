"""Gradients and compilation on PyTorch."""

import collections
import contextlib

import keras
import numpy as np
import torch

from keras_practices._core.fit_internals import LossMean
from keras_practices._core.fused_sums import fuse


def compiled(function):
    """Returns `function` without gradients; PyTorch runs eagerly, as in Keras."""
    return torch.no_grad()(function)


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
    leaves = [value.detach().requires_grad_(True) for value in values]
    with torch.enable_grad():
        loss, aux = function(leaves)
        gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
    return (loss.detach(), _detached(aux)), list(gradients)


def _detached(tree):
    if isinstance(tree, torch.Tensor):
        return tree.detach()
    if isinstance(tree, list | tuple):
        return type(tree)(_detached(item) for item in tree)
    if isinstance(tree, dict):
        return {key: _detached(item) for key, item in tree.items()}
    return tree


def training_step(loss_at, optimizer, trainable, others):
    """Returns a `step(batch) -> loss` that updates the variables given.

    Args:
        loss_at: `(trainable values, other values, batch) -> (loss, other values)`.
        optimizer: Built on `trainable`.
        trainable: List of Keras variables.
        others: List of Keras variables (statistics, seeds).
    """

    def step(batch):
        kept = [v.value for v in others]
        (loss, after), gradients = value_and_gradients(
            lambda values: loss_at(values, kept, batch), [v.value for v in trainable]
        )
        filled = [
            torch.zeros_like(v.value) if g is None else g
            for g, v in zip(gradients, trainable, strict=True)
        ]
        with torch.no_grad():
            optimizer.apply(filled, trainable)
            for variable, value in zip(others, after, strict=True):
                variable.assign(value)
        return loss

    return step


def own_copy(tensor):
    """Returns a copy as a NumPy array."""
    return np.array(keras.ops.convert_to_numpy(tensor))


def devices():
    """Returns the names of the devices that PyTorch can use."""
    count = torch.cuda.device_count()
    return [torch.cuda.get_device_name(i) for i in range(count)] or ["CPU"]


def watched_train_step(model, watch):
    """Returns a `train_step` that adds what `watch` measures to its logs."""
    original = model.train_step

    def train_step(data):
        with watch.opened(at_once=True) as seen:
            logs = original(data)
        with torch.no_grad():
            return watch.add_figures(
                logs, seen, lambda: [v.value.detach() for v in seen.variables]
            )

    return train_step


def watched_apply(optimizer, watch):
    """Returns `("apply", function)`; see `backend.watched_apply`."""
    original = optimizer.apply

    def apply(grads, trainable_variables=None):
        with watch.noting() as seen:
            if seen is not None:
                variables = trainable_variables or optimizer._trainable_variables
                _note(seen, optimizer, list(grads), list(variables))
        return original(grads, trainable_variables)

    return "apply", apply


def _note(seen, optimizer, grads, variables):
    # Updates are written in place.
    kept = seen.note_weights([v.value.detach() for v in seen.variables])
    kept[:] = [value.clone() for value in kept]
    known = [(v, g) for v, g in zip(variables, grads, strict=True) if g is not None]
    scale = getattr(optimizer, "dynamic_scale", None)
    scale = optimizer.loss_scale_factor if scale is None else scale.value.detach()
    gradients = [g.detach() if scale is None else g.detach() / scale for _, g in known]
    seen.note_gradients([v for v, _ in known], gradients)


END_OF_DATA = (StopIteration,)


class CallTap:
    """Reads scalars around a call of a train function; see `backend.call_tap`."""

    sure = False  # nothing is read here that would cost a step something

    def __init__(self, model, rate, trackers):
        self._rate_tensor = None if rate is None else rate.value.detach()
        self._rate, self._version = None, None
        self._mean = LossMean(trackers)

    @property
    def settled(self):
        """True when nothing is waited for any more."""
        return self._mean.settled

    def before(self, args, touched):
        """Returns `(arguments, rate, total and count of the mean where touched)`."""
        self._rows = [_rows(data) for data in args[0]]
        base, tensor = None, self._rate_tensor
        # PyTorch counts the writes into a tensor: a scalar is read where it is new.
        if tensor is not None and tensor._version != self._version:
            self._version = tensor._version
            # On a GPU the number would have to be waited for.
            self._rate = tensor.clone() if tensor.is_cuda else float(tensor)
        if touched and self._mean.trackers:
            base = _total_and_count(self._mean.trackers[0])
            self._mean.begin(base[1])
        return args, self._rate, base

    def after(self, result):
        """Returns `(loss in the logs, its weight, whether that is the epoch's)`."""
        mean, loss = self._mean, result.get("loss")
        if isinstance(loss, torch.Tensor):
            # The graph of the step is not kept alive, and what is there is read hot.
            loss = loss.item() if loss.is_cpu else loss.detach()
        if not mean.settled:
            known = None if loss is None else float(loss)
            states = [_total_and_count(tracker) for tracker in mean.trackers]
            return loss, mean.look(known, states, self._rows), True
        if not mean.trackers:
            return loss, None, False
        weight = mean.weight_of(self._rows)
        if weight is None:
            return loss, mean.trackers[0].count.value.detach().clone(), True
        return loss, weight, False

    def again(self, given, error):
        """Returns None: what was run cannot be taken back."""
        return None


def _rows(data):
    """Rows of a batch: the first length in it."""
    first = data[0] if isinstance(data, list | tuple) and data else data
    shape = getattr(first, "shape", None)
    if not shape:
        shaped = (x for x in keras.tree.flatten(data) if getattr(x, "ndim", 0))
        shape = getattr(next(shaped, None), "shape", (0,))
    return shape[0]


def _total_and_count(tracker):
    return float(tracker.total.value), float(tracker.count.value)


def floats(scalars):
    """Returns Python floats of scalars, fetched together."""
    if all(isinstance(s, torch.Tensor) and s.is_cuda for s in scalars):
        return torch.stack(list(scalars)).tolist() if scalars else []
    return [float(scalar) for scalar in scalars]


def wait_for(tree):
    """Waits until the device has computed the tensors of a tree."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seldom(predicate, usual, rare):
    """Returns `usual()` or, where `predicate` holds, `rare()`, right in any case.

    On a GPU the answer would have to be waited for, and counting is quick there.
    """
    known = predicate.device.type == "cpu"
    return usual() if known and not bool(predicate) else rare()


def shaped(tensor, *shape):
    """Returns a tensor in float32 and in another shape, without a copy if it can."""
    return tensor.reshape(shape).float()


def joined(tensors):
    """Returns tensors as one, along the first axis."""
    return torch.cat(tensors)


def stacked(scalars):
    """Returns scalars as a tensor of rank 1."""
    return torch.stack(scalars)


def size(tensor):
    """Returns the number of entries, as a float32 scalar."""
    return torch.tensor(float(tensor.numel()), device=tensor.device)


def total(tensor):
    """Returns the sum of all entries, as a float32 scalar; of flags their number."""
    return tensor.sum(dtype=torch.float32)


def square_sum(tensor):
    """Returns the sum of the squares of a tensor, read once and without a copy."""
    flat = tensor.reshape(-1)
    return torch.dot(flat, flat)


def square_distance(old, new):
    """Returns the sum of the squares of `new - old`; `old` is a copy, and used up."""
    return square_sum(old.sub_(new))


def alive(rows):
    """Returns 1.0 for each column with an entry that is above zero or NaN, else 0.0."""
    # The largest is NaN where one is, and NaN is not below.
    return (~(rows.amax(0) <= 0)).float()


def train_function(model, train_step):
    """Returns a function that `fit` can call in the place of `model.train_function`.

    Keras's own looks `train_step` up at each call, and may be compiled by PyTorch.
    """
    return lambda data: train_step(data[0])


def replicas():
    """Returns 1: losses are those of the batch."""
    return 1


def double_precision():
    """Returns a context that does nothing: PyTorch has numbers of 64 bit."""
    return contextlib.nullcontext()


def forget_compiled():
    """Does nothing: what was compiled goes with the model."""


def run_once(function, *args):
    """Returns `function(*args)`; PyTorch runs eagerly, as in Keras."""
    return function(*args)


# Entries of all the weights that are moved together: 32 MB in float64.
_MOVED = 4_000_000


def losses_nearby(loss_at, values, fixed):
    """Returns `run(places, steps)`, many at once; see `backend.losses_nearby`."""
    shapes = [value.shape for value in values]
    sizes = [value.numel() for value in values]
    flat = torch.cat([value.detach().reshape(-1) for value in values])
    entries = torch.arange(len(flat), device=flat.device)

    def one(place, step):
        moved = torch.split(torch.where(entries == place, flat + step, flat), sizes)
        parts = [p.reshape(s) for p, s in zip(moved, shapes, strict=True)]
        return loss_at(parts, fixed)

    many = torch.func.vmap(
        one, randomness="same", chunk_size=max(1, _MOVED // len(flat))
    )

    def run(places, steps):
        given = [torch.as_tensor(part, device=flat.device) for part in (places, steps)]
        with torch.no_grad():
            return many(*given).cpu().numpy()

    return run


def unreached(loss_at, values, gradients):
    """Returns a list of flags, true where no graph led to a value."""
    return [gradient is None for gradient in gradients]


# A trace takes some 100 ms, as long as twenty calls: shapes that come seldom, as the
# last batch of a data set does, are not worth one. So many shapes are remembered.
_TRACED_AT, _TRACES = 10, 8


def traced(function):
    """Returns `function` as a list of sums for each shape; see `backend.traced`."""
    programs, seen = {}, collections.Counter()

    def run(*tensors):
        key = _signature(tensors)
        if key not in programs:
            if len(programs) == _TRACES:
                return function(*tensors)
            seen[key] += 1
            if seen[key] < _TRACED_AT:
                return function(*tensors)
            programs[key] = _as_sums(function, tensors)
        return programs[key](*tensors)

    return torch.no_grad()(run)


def _as_sums(function, tensors):
    from torch.fx.experimental.proxy_tensor import make_fx

    try:
        return fuse(make_fx(function)(*tensors), torch.ops.aten).forward
    except Exception:
        # It reads values in Python; it is as right as before, and as slow.
        return function


def _signature(tensors):
    # Under `torch.autocast` the same sums are done in another precision.
    halved = torch.is_autocast_enabled(tensors[0].device.type)
    return halved, tuple((x.shape, x.dtype, x.device) for x in tensors)
