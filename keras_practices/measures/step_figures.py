"""What one training step did, measured inside the step and reduced on the device."""

import contextlib
import math
import threading

import keras
import numpy as np
from keras import ops

from keras_practices._core import backend
from keras_practices._core.train_function import FIGURES
from keras_practices.measures.capture import activation_name
from keras_practices.measures.capture import open_layers
from keras_practices.measures.capture import rematerialized
from keras_practices.measures.capture import shadowed
from keras_practices.measures.layers import BOUNDS
from keras_practices.measures.layers import CAN_DIE
from keras_practices.measures.layers import FLAT

# Rows of the batch on which activations are measured.
ACTIVATION_ROWS = 8
# Entries of each gradient that are kept for its histogram.
GRADIENT_ENTRIES = 256
# Weights of a model that are kept over the update where it is made in place (8 MB).
KEPT_WEIGHTS = 2**21


class _Seen:
    """What the hooks of one step have caught, in one thread."""

    def __init__(self, variables, strides):
        self.variables = variables
        self.calls = None
        self.weights = None
        self.gradients = {}
        self.strides = strides

    def note_weights(self, values, copied=True):
        """Keeps the weights as they were before the first update of the step.

        Args:
            values: List of tensors, one for each variable.
            copied: Bool. Whether keeping a tensor over the update costs memory: then
                of a large model only evenly spread entries are kept.

        Returns:
            List of what is kept.
        """
        if self.weights is None:
            if not copied:
                self.strides = [1] * len(self.strides)
            pairs = zip(values, self.strides, strict=True)
            self.weights = [_spread(value, stride) for value, stride in pairs]
        return self.weights

    def note_gradients(self, variables, gradients):
        """Keeps the gradients of the step; the last update counts."""
        for variable, gradient in zip(variables, gradients, strict=True):
            self.gradients[id(variable)] = gradient


class StepFigures:
    """Measures a training step from inside; used by a watched train function.

    While a step is traced (on PyTorch: run) hooks catch gradients, weights before the
    update and the outputs of every layer with an activation. All of it is reduced to
    one small vector on the device; `read` turns the vector into figures. Where updates
    are made in place (TensorFlow, PyTorch) the update of a model of more than 2 million
    weights is estimated from that many evenly spread entries, beside the norm of the
    new weights, so that the memory of a sample does not grow with the model.

    Layers of a `RematScope` are left out: their forward pass is run again inside the
    gradient.

    Args:
        model: A built and compiled Keras model.
    """

    def __init__(self, model):
        self._model = model
        self.variables = list(model.trainable_variables)
        self.paths = _distinct([variable.path for variable in self.variables])
        sizes = [int(np.prod(variable.shape)) for variable in self.variables]
        self.strides = [_stride(size, sum(sizes)) for size in sizes]
        hidden = rematerialized(model)
        active = [x for x in open_layers(model) if activation_name(x) is not None]
        self._layers = [layer for layer in active if id(layer) not in hidden]
        self._layout = []
        self._local = threading.local()
        self._faults = {}

    # --- hooks ---------------------------------------------------------------

    @contextlib.contextmanager
    def hooked(self):
        """Puts the hooks on layers and optimizer while the context is open."""
        # Replicas are traced in threads of their own, so hooks are set around them
        # all and do nothing in a thread that has no step open.
        with shadowed(self._layers, self._watched_call), self._watched_optimizer():
            yield

    @contextlib.contextmanager
    def _watched_optimizer(self):
        optimizer = self._model.optimizer
        if optimizer is None:
            yield
            return
        name, function = backend.watched_apply(optimizer, self)
        # Past Keras's attribute tracking: this is no state of the optimizer.
        optimizer.__dict__[name] = function
        try:
            yield
        finally:
            del optimizer.__dict__[name]

    def _watched_call(self, layer, original):
        def call(*args, **kwargs):
            outputs = original(*args, **kwargs)
            with self.noting("activations") as seen:
                if seen is not None and seen.calls is not None:
                    seen.calls.append((layer, _first_rows(outputs)))
            return outputs

        return call

    @contextlib.contextmanager
    def opened(self, seen=None, *, calls=True):
        """Begins a step in this thread, or goes on with one.

        Args:
            seen: What an earlier context of the same step yielded.
            calls: Bool. Whether outputs of layers are caught.

        Yields:
            What the hooks catch.
        """
        seen = seen or _Seen(self.variables, self.strides)
        seen.calls = [] if calls else None
        self._local.seen = seen
        try:
            yield seen
        finally:
            self._local.seen = None

    @contextlib.contextmanager
    def noting(self, what="gradients"):
        """Yields the step that is open in this thread; a fault in it is kept."""
        try:
            yield getattr(self._local, "seen", None)
        except Exception as error:
            self._faults.setdefault(what, error)

    def take_faults(self):
        """Returns `(what, error)` of what failed since the last call."""
        faults, self._faults = list(self._faults.items()), {}
        return faults

    # --- on the device ---------------------------------------------------------

    def add_figures(self, logs, seen, values):
        """Returns the logs of a step with its figures added.

        Args:
            logs: What the model's own train step returned.
            seen: What the hooks have caught.
            values: Function that returns the weights after the step.
        """
        parts = []
        for what, measure in (
            ("weights", lambda: self._weight_parts(seen, values())),
            ("activations", lambda: self._layer_parts(seen)),
        ):
            with self.noting(what):
                parts += measure()
        if not parts:
            return logs
        with self.noting("figures of the steps"):
            vector = ops.concatenate([tensor for _, tensor in parts])
            self._layout = [(key, int(tensor.shape[0])) for key, tensor in parts]
            return {**logs, FIGURES: vector}
        return logs

    def _weight_parts(self, seen, after):
        gradients = [seen.gradients.get(id(v)) for v in seen.variables]
        updated = seen.weights is not None
        parts, tensors = [], []
        for index, new in enumerate(after):
            new, gradient = _float32(new), _float32(gradients[index])
            if updated:
                stride = seen.strides[index]
                kept = _float32(seen.weights[index])
                update = _square(_spread(new, stride) - kept)
                share = kept.shape[0] / np.prod(new.shape) if stride > 1 else 1.0
                # Of a part of the old weights no norm and no finiteness can be told.
                whole = kept if stride == 1 else new
                parts.append((("weight_norm", index), _square(whole)))
                parts.append((("update_norm", index), update / share))
            else:
                parts.append((("weight_norm", index), _square(new)))
            tensors.append((("finite", index), new))
            if gradient is not None:
                parts.append((("gradient_norm", index), _square(gradient)))
                tensors.append((("gradient_finite", index), gradient))
                parts.append((("gradient", index), _few(gradient)))
        if not tensors:
            return parts
        # Counting is slow, and a finite sum of squares says that there is nothing to
        # count. New weights are finite where the old ones and the update are.
        sums = [tensor for (name, _), tensor in parts if name != "gradient"]
        suspicious = ops.logical_not(ops.isfinite(ops.sum(ops.concatenate(sums))))
        count = len(tensors)
        bad = backend.seldom(
            suspicious,
            lambda: ops.zeros((count,), "float32"),
            lambda: ops.stack([_not_finite(tensor) for _, tensor in tensors]),
        )
        parts += [(key, bad[i : i + 1]) for i, (key, _) in enumerate(tensors)]
        return parts

    def _layer_parts(self, seen):
        outputs = {}
        for layer, rows in seen.calls or ():
            if rows is not None:
                outputs.setdefault(id(layer), (layer, []))[1].append(rows)
        parts = []
        for layer, calls in outputs.values():
            # A layer inside a loop or a branch belongs to another trace.
            with self.noting(f"activations of layer {layer.name!r}"):
                parts += activation_parts(layer, calls)
        return parts

    # --- on the host -----------------------------------------------------------

    def read(self, vector):
        """Turns the vector of a step into figures.

        Args:
            vector: From the logs of the step.

        Returns:
            `(weights, layers, gradients)`: figures by variable path; figures by layer
            name, with the entry `active` (one flag a unit) where units can die; some
            entries of each gradient by path.
        """
        values = np.asarray(ops.convert_to_numpy(vector), dtype=np.float64)
        weights = {path: {} for path in self.paths}
        flat, gradients = {}, {}
        start = 0
        for (name, where), length in self._layout:
            part = values[start : start + length]
            start += length
            if isinstance(where, str):
                flat.setdefault(where, {})[name] = part
            elif name == "gradient":
                gradients[self.paths[where]] = part
            else:
                weights[self.paths[where]][name] = float(part[0])
        for variable, figures in zip(self.variables, weights.values(), strict=True):
            _finish_weight(figures, int(np.prod(variable.shape)))
        layers = {name: read_activation(parts) for name, parts in flat.items()}
        names = {layer.name: activation_name(layer) for layer in self._layers}
        for name, figures in layers.items():
            figures["activation"] = names[name]
        return weights, layers, gradients


def activation_parts(layer, calls):
    """Reduces the outputs of a layer to sums, on the device.

    Args:
        layer: A layer with an activation.
        calls: List of output tensors, one a call.

    Returns:
        List of `((figure, layer name), tensor of rank 1)`. All of them are sums, so
        that the mean over the replicas of a distributed step keeps their ratios.
    """
    rows = [ops.reshape(_float32(c), (-1, c.shape[-1])) for c in calls]
    flat = ops.concatenate(rows) if len(rows) > 1 else rows[0]
    activation = activation_name(layer)
    parts = {
        "size": ops.cast(ops.size(flat), "float32"),
        "sum": ops.sum(flat),
        "square": ops.sum(ops.square(flat)),
        "zeros": _count(ops.equal(flat, 0)),
    }
    if activation in BOUNDS:
        low, high = BOUNDS[activation]
        edge = FLAT * (high - low)
        ends = ops.logical_or(flat <= low + edge, flat >= high - edge)
        parts["saturated"] = _count(ends)
    found = [((name, layer.name), ops.reshape(t, (1,))) for name, t in parts.items()]
    if activation in CAN_DIE:
        # What is NaN is not zero: overflow is no death. (TensorFlow's optimizer turns
        # "not below or equal" into "above", which NaN is not.)
        alive = ops.any(ops.logical_or(flat > 0, ops.isnan(flat)), axis=0)
        found.append((("active", layer.name), ops.cast(alive, "float32")))
    return found


def read_activation(parts):
    """Turns the sums of `activation_parts` into figures of one layer.

    Args:
        parts: Dict figure → NumPy array of rank 1.

    Returns:
        Dict with `mean`, `std`, `second_moment`, `zeros`, and `saturated`, `units`,
        `inactive`, `active` where the activation has them.
    """
    size = parts["size"][0]
    if size == 0:
        return {}
    mean, square = parts["sum"][0] / size, parts["square"][0] / size
    figures = {
        "mean": float(mean),
        "std": float(np.sqrt(np.maximum(0, square - mean**2))),
        "second_moment": float(square),
        "zeros": float(parts["zeros"][0] / size),
    }
    if "saturated" in parts:
        figures["saturated"] = float(parts["saturated"][0] / size)
    if "active" in parts:
        figures["active"] = parts["active"] > 0
        figures["units"] = len(parts["active"])
        figures["inactive"] = float(1 - figures["active"].mean())
    return figures


def _finish_weight(figures, size):
    for name in ("weight_norm", "update_norm", "gradient_norm"):
        if name in figures:
            figures[name] = float(np.sqrt(figures[name]))
    for name in ("finite", "gradient_finite"):
        if name in figures:
            figures[name] = 1 - figures[name] / size if size else 1.0
    if "update_norm" in figures:
        norm = figures["weight_norm"]
        # A weight of zeros has no ratio.
        figures["update_ratio"] = figures["update_norm"] / norm if norm > 0 else None


def _first_rows(outputs):
    leaves = keras.tree.flatten(outputs)
    tensor = leaves[0] if leaves else None
    shape = getattr(tensor, "shape", None)
    if shape is None or len(shape) < 2 or shape[-1] is None:
        return None
    if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(tensor.dtype)):
        return None
    return ops.stop_gradient(tensor[:ACTIVATION_ROWS])


def _float32(tensor):
    return None if tensor is None else ops.cast(tensor, "float32")


def _square(tensor):
    return ops.reshape(ops.sum(ops.square(tensor)), (1,))


def _count(condition):
    return ops.sum(ops.cast(condition, "float32"))


def _not_finite(tensor):
    return _count(ops.logical_not(ops.isfinite(tensor)))


def _stride(size, total):
    """Distance of the entries that are kept of a variable."""
    stride = -(-total // KEPT_WEIGHTS)
    # A common divisor with the shape would hit the same columns again and again.
    while stride > 1 and math.gcd(stride, size) > 1:
        stride += 1
    return min(stride, max(1, size))


def _spread(tensor, stride):
    return tensor if stride == 1 else ops.reshape(tensor, (-1,))[::stride]


def _few(gradient):
    """Evenly spread entries: enough for a histogram over the samples of an epoch."""
    flat = ops.reshape(gradient, (-1,))
    stride = max(1, int(np.prod(gradient.shape)) // GRADIENT_ENTRIES)
    return flat[::stride][:GRADIENT_ENTRIES]


def _distinct(names):
    """Names, with a number where one stands twice."""
    seen, result = {}, []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return result
