"""What a training step is to be: figures of arrays, and a network in NumPy float64.

Forward pass, backward pass and optimizers are written out.
"""

import keras
import numpy as np

# Rows of the batch on which activations are measured.
ROWS = 8
RANGES = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}


# --- figures of given arrays -----------------------------------------------------


def weight_figures(before, after, gradient):
    """Figures of one variable; `gradient` is None where the loss knows it not."""
    before, after = (np.asarray(w, "float64") for w in (before, after))
    norm, update = np.linalg.norm(before), np.linalg.norm(after - before)
    figures = {
        "weight_norm": norm,
        "update_norm": update,
        "update_ratio": update / norm if norm > 0 else None,
        "finite": np.isfinite(after).mean(),
    }
    if gradient is not None:
        gradient = np.asarray(gradient, "float64")
        figures["gradient_norm"] = np.linalg.norm(gradient)
        figures["gradient_finite"] = np.isfinite(gradient).mean()
    return figures


def layer_figures(activation, calls):
    """Figures of one layer over all its calls, and which units were active."""
    rows = [np.asarray(c, "float64")[:ROWS] for c in calls]
    flat = np.concatenate([row.ravel() for row in rows])
    figures = {
        "mean": flat.mean(),
        "std": flat.std(),
        "second_moment": np.mean(flat**2),
        "zeros": np.mean(flat == 0),
    }
    if activation in RANGES:
        low, high = RANGES[activation]
        edge = 0.01 * (high - low)
        figures["saturated"] = np.mean((flat <= low + edge) | (flat >= high - edge))
    active = None
    if activation == "relu" and len({row.shape[-1] for row in rows}) == 1:
        rows = np.concatenate([row.reshape(-1, row.shape[-1]) for row in rows])
        active = np.any(~(rows <= 0), axis=0)
        figures["units"] = len(active)
    return figures, active


class Steps:
    """What the steps of one epoch gave: a list of dicts, one a step."""

    def __init__(self, activations):
        self.activations = activations
        self.found = []
        self._active = {}

    def begin_epoch(self):
        """Units count as inactive within an epoch."""
        self._active = {}

    def add(self, loss, before, after, gradients, outputs):
        """Adds a step; dicts by path, and outputs as lists of arrays by layer."""
        weights = {
            path: weight_figures(before[path], after[path], gradients.get(path))
            for path in before
        }
        layers = {}
        for name, activation in self.activations.items():
            layers[name], active = layer_figures(activation, outputs[name])
            if active is not None:
                known = self._active.get(name, False)
                self._active[name] = active | known
                layers[name]["inactive"] = 1 - np.mean(self._active[name])
        self.found.append({"loss": loss, "weights": weights, "layers": layers})


def gradient_rms(weights, sizes, name):
    """Root mean square of the gradient over all variables below a layer."""
    paths = [path for path in weights if f"/{name}/" in f"/{path}"]
    squares = [weights[path].get("gradient_norm", 0.0) ** 2 for path in paths]
    return np.sqrt(sum(squares) / sum(sizes[path] for path in paths))


def check_record(record, steps, *, rtol=1e-4, atol=1e-7, of_steps=None):
    """Compares every figure of a record with a list of `Steps.found`.

    The norms are sums of float32 numbers of relative error 6e-8, and an update is the
    difference of two of them: a tenth of a per mille is far above that and far below
    any error of meaning.
    """
    assert [line["why"] for line in record.of_kind("fault")] == []
    numbers = [line["step"] for line in record.samples]
    wanted = range(1, len(steps) + 1) if of_steps is None else of_steps
    assert numbers == list(wanted)
    expected = [step["loss"] for step in steps]
    np.testing.assert_allclose(record.curve("loss")[1], expected, rtol, atol)
    sizes = {k: np.prod(v) for k, v in record.start["variables"].items()}
    for line in record.samples:
        step = steps[line["step"] - 1]
        where = f"step {line['step']}"
        assert line["weights"].keys() == step["weights"].keys(), where
        for path, figures in step["weights"].items():
            _check(line["weights"][path], figures, f"{where} {path}", rtol, atol)
        measured = {n: f for n, f in line["layers"].items() if "mean" in f}
        assert measured.keys() == step["layers"].keys(), where
        for name, figures in step["layers"].items():
            found = dict(measured[name])
            found.pop("activation")
            found.pop("gradient_rms", None)
            _check(found, figures, f"{where} {name}", rtol, atol)
        for name, figures in line["layers"].items():
            if "gradient_rms" in figures:
                rms = gradient_rms(step["weights"], sizes, name)
                _close(figures["gradient_rms"], rms, f"{where} {name}", rtol, atol)


def _check(found, expected, where, rtol, atol):
    assert found.keys() == expected.keys(), where
    for figure, value in expected.items():
        _close(found[figure], value, f"{where} {figure}", rtol, atol)


def _close(found, expected, where, rtol, atol):
    if expected is None:
        assert found is None, where
    else:
        # Not finite ones stand as text in a record.
        np.testing.assert_allclose(float(found), expected, rtol, atol, err_msg=where)


# --- a network in NumPy ------------------------------------------------------------


class Network:
    """Dense-relu, Dense-tanh, Dense: forward, backward and update in float64.

    Args:
        weights: Arrays of the three layers, from `get_weights`.
        cross_entropy: Bool. Softmax and cross-entropy in the place of squared error.
        l2: Factor of the penalty of the first kernel.
    """

    def __init__(self, weights, *, cross_entropy=False, l2=0.0):
        self.weights = [np.asarray(w, "float64") for w in weights]
        self.cross_entropy = cross_entropy
        self.l2 = l2

    def step(self, x, y, row_weights=None):
        """Returns `(loss, gradients, outputs of the layers)`."""
        x, y = np.asarray(x, "float64"), np.asarray(y, "float64")
        scale = np.ones(len(x)) if row_weights is None else np.asarray(row_weights)
        scale = scale[:, None] / len(x)
        one, b_one, two, b_two, three, b_three = self.weights
        first = np.maximum(x @ one + b_one, 0)
        second = np.tanh(first @ two + b_two)
        last = second @ three + b_three
        if self.cross_entropy:
            last = np.exp(last - last.max(-1, keepdims=True))
            last /= last.sum(-1, keepdims=True)
            loss = -np.sum(scale * y * np.log(last))
            delta = scale * (last - y)
        else:
            loss = np.sum(scale * (last - y) ** 2) / y.shape[-1]
            delta = scale * 2 * (last - y) / y.shape[-1]
        loss += self.l2 * np.sum(one**2)
        delta_two = (delta @ three.T) * (1 - second**2)
        delta_one = (delta_two @ two.T) * (first > 0)
        gradients = [
            x.T @ delta_one + 2 * self.l2 * one,
            delta_one.sum(0),
            first.T @ delta_two,
            delta_two.sum(0),
            second.T @ delta,
            delta.sum(0),
        ]
        return loss, gradients, [first, second, last]


def sgd(rate_of, momentum=0.0, nesterov=False):
    """Returns `update(weights, gradients, step) -> weights` of gradient descent."""
    speeds = {}

    def update(weights, gradients, step):
        new, rate = [], rate_of(step)
        for i, (w, g) in enumerate(zip(weights, gradients, strict=True)):
            speeds[i] = momentum * speeds.get(i, 0.0) - rate * g
            ahead = momentum * speeds[i] - rate * g
            new.append(w + (ahead if nesterov else speeds[i]))
        return new

    return update


def adam(rate_of, decay=0.0, one=0.9, two=0.999, epsilon=1e-7):
    """Returns the update of Adam, with weight decay that is not in the gradient."""
    means, squares = {}, {}

    def update(weights, gradients, step):
        new, rate = [], rate_of(step)
        unbiased = np.sqrt(1 - two ** (step + 1)) / (1 - one ** (step + 1))
        for i, (w, g) in enumerate(zip(weights, gradients, strict=True)):
            means[i] = one * means.get(i, 0.0) + (1 - one) * g
            squares[i] = two * squares.get(i, 0.0) + (1 - two) * g**2
            # Keras adds epsilon before the correction of the bias.
            direction = unbiased * means[i] / (np.sqrt(squares[i]) + epsilon)
            new.append(w - w * decay * rate - rate * direction)
        return new

    return update


def each_at_most(norm):
    """Returns the clipping of each gradient by itself."""
    return lambda gradients: [
        g * norm / max(norm, np.linalg.norm(g)) for g in gradients
    ]


def all_at_most(norm):
    """Returns the clipping of all gradients together."""

    def clip(gradients):
        total = np.sqrt(sum(np.sum(g**2) for g in gradients))
        return [g * norm / max(norm, total) for g in gradients]

    return clip


def train(network, batches, update, *, clip=None, every=1, average=None, project=None):
    """Trains a `Network`; yields `(loss, before, after, gradients, outputs)`.

    Args:
        network: A `Network`.
        batches: List of `(x, y, sample weights)`.
        update: From `sgd` or `adam`.
        clip: Function of the gradients that the update is made with.
        every: Batches to one update, made with their mean gradient.
        average: `(momentum, frequency)` of an average that replaces the weights.
        project: Function of the new weights.
    """
    sums, mean, updates = None, None, 0
    for number, batch in enumerate(batches, 1):
        loss, gradients, outputs = network.step(*batch)
        before = new = network.weights
        sums = (
            gradients
            if sums is None
            else [a + b for a, b in zip(sums, gradients, strict=True)]
        )
        if number % every == 0:
            used = [g / every for g in sums]
            new = update(before, clip(used) if clip else used, updates)
            sums, updates = None, updates + 1
        if average:
            momentum, frequency = average
            pairs = zip(new if mean is None else mean, new, strict=True)
            mean = [momentum * m + (1 - momentum) * w for m, w in pairs]
            new = mean if number % frequency == 0 else new
        network.weights = project(new) if project else new
        yield loss, before, network.weights, gradients, outputs


# --- values and weights ------------------------------------------------------------


def values(variables):
    """Dict path → NumPy array."""
    return {v.path: array(v.value) for v in variables}


def array(tensor):
    """A NumPy copy of a tensor, which may be in an automatic differentiation."""
    tensor = tensor.detach() if hasattr(tensor, "detach") else tensor
    return np.array(keras.ops.convert_to_numpy(tensor))


def back_to_start(model, weights):
    """Gives a model its first weights, and its optimizer the state of a new one."""
    model.set_weights(weights)
    for variable in model.optimizer.variables:
        if variable.name not in ("learning_rate", "dynamic_scale"):
            variable.assign(np.zeros(variable.shape))


def check_same(found, expected):
    """Bit for bit; TensorFlow may fuse a product with a sum in one function only."""
    exact = keras.backend.backend() != "tensorflow"
    rtol, atol = (0, 0) if exact else (1e-5, 1e-6)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol, atol)
