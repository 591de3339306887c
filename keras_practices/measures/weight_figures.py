"""Sums over the gradients and weights of one training step, on the device."""

import math

from keras import ops

from keras_practices._core import backend

# Entries of each gradient that are kept for its histogram.
GRADIENT_ENTRIES = 256
# A model of up to so many weights (4 MB) is kept as a whole over the update; of a
# larger one a quarter as many entries are, and small variables: of ten biases no part
# will do.
KEPT_WEIGHTS = 2**20
KEPT_WHOLE = 2**12
# Gradients of more entries than this (1 MB) are measured one by one: what is measured
# together is kept together.
LARGE = 2**18


def weight_parts(seen, after, sizes):
    """Returns the figures of all weights of a step.

    Args:
        seen: The `StepCatch` of the step.
        after: List of tensors, the weights after the step.
        sizes: List of the numbers of their entries.

    Returns:
        List of `(keys, tensor of rank 1)`, a key being `(figure, index of the
        variable)`. Every tensor has as many entries for each of its keys.
    """
    gradients, sums, parts = {}, {}, []
    for i, variable in enumerate(seen.variables):
        gradient = seen.gradients.get(id(variable))
        if id(variable) in seen.measured:
            sums["gradient_norm", i], bad, few = seen.measured[id(variable)]
            parts += [([("gradient_finite", i)], bad), ([("gradient", i)], few)]
        elif gradient is not None:
            # Not -1: of a dense layer on sequences in batches of unknown size
            # TensorFlow does not know the shape of the gradient.
            gradients[i] = flat = backend.shaped(gradient, sizes[i])
            sums["gradient_norm", i] = backend.square_sum(flat)
            parts.append(([("gradient", i)], _few(flat)))
    weights = {i: backend.shaped(new, -1) for i, new in enumerate(after)}
    for i, new in weights.items():
        sums |= _update_sums(seen, i, new, sizes[i])
    if sums:
        parts.append((list(sums), backend.stacked(list(sums.values()))))
    return [*parts, *_counts(sums, weights, gradients, sizes)]


def measure_gradient(gradient):
    """Returns the figures of one gradient, on the device.

    Args:
        gradient: A tensor.

    Returns:
        `(sum of squares, number of entries that are not finite, some entries)`; the
        last two of rank 1.
    """
    flat = backend.shaped(gradient, -1)
    # Counted in any case: a branch would keep the gradient longer.
    bad = ops.reshape(_not_finite(flat), (1,))
    return backend.square_sum(flat), bad, _few(flat)


def _update_sums(seen, i, new, size):
    if seen.weights is None:
        return {("weight_norm", i): backend.square_sum(new)}
    stride = seen.strides[i]
    kept = backend.shaped(seen.weights[i], -1)
    # Of a part of the old weights no norm and no finiteness can be told.
    norm = backend.square_sum(kept if stride == 1 else new)
    part = new if stride == 1 else new[::stride]
    # Last: this uses up what was kept.
    update = backend.square_distance(kept, part)
    if stride > 1:
        update = update * (size / kept.shape[0])
    return {("weight_norm", i): norm, ("update_norm", i): update}


def _counts(sums, weights, gradients, sizes):
    # New weights are finite where the old ones and the update are.
    for group in _groups([sizes[i] for i in weights]):
        counted = {("finite", i): weights[i] for i in group}
        counted |= {
            ("gradient_finite", i): gradients[i] for i in group if i in gradients
        }
        norms = [value for (_, i), value in sums.items() if i in group]
        yield list(counted), _counted(norms, list(counted.values()))


def _counted(norms, tensors):
    """How many entries of each tensor are not finite."""
    # Counting is slow, and a finite sum of squares says that there is nothing to
    # count.
    return backend.seldom(
        ops.logical_not(ops.isfinite(backend.total(backend.stacked(norms)))),
        lambda: ops.zeros((len(tensors),), "float32"),
        lambda: backend.stacked([_not_finite(tensor) for tensor in tensors]),
    )


def _groups(sizes):
    """Yields lists of indices that follow each other, up to the next large one."""
    group, held = [], 0
    for i, size in enumerate(sizes):
        group.append(i)
        held += size
        if held > LARGE or i == len(sizes) - 1:
            yield group
            group, held = [], 0


def _not_finite(tensor):
    return ops.sum(ops.cast(ops.logical_not(ops.isfinite(tensor)), "float32"))


def _few(flat):
    """Evenly spread entries: enough for a histogram over the samples of an epoch."""
    size = int(flat.shape[0])
    if size <= GRADIENT_ENTRIES:
        return flat  # a slice of all of it would be nodes of a graph for nothing
    stride = coprime(max(1, size // GRADIENT_ENTRIES), size)
    return flat[: stride * GRADIENT_ENTRIES : stride]


def kept_stride(size, total):
    """Returns the distance of the entries that are kept of a variable over the update.

    Args:
        size: Number of its entries.
        total: Number of those of the whole model.
    """
    if size <= KEPT_WHOLE or total <= KEPT_WEIGHTS:
        return 1
    return coprime(math.ceil(4 * total / KEPT_WEIGHTS), size)


def coprime(stride, size):
    """Returns the next stride that hits every column of any shape of this size."""
    # With a common divisor it would hit the same columns again and again.
    while stride > 1 and math.gcd(stride, size) > 1:
        stride += 1
    return min(stride, max(1, size))
