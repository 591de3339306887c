"""Losses and activations in inference mode on fixed rows, compiled once."""

import contextlib
import math
import time

import keras
import numpy as np
from keras import ops

from keras_practices._core import backend
from keras_practices._core.randomness import restore_rng
from keras_practices.errors import first_line
from keras_practices.measures.activation_figures import activation_parts
from keras_practices.measures.activation_figures import joined_parts
from keras_practices.measures.activation_figures import read_activation
from keras_practices.measures.capture import activation_name
from keras_practices.measures.capture import captured_calls
from keras_practices.measures.capture import open_layers
from keras_practices.measures.capture import rematerialized
from keras_practices.measures.capture import without_noise
from keras_practices.measures.capture import without_penalties
from keras_practices.measures.layers import input_tensors
from keras_practices.measures.model_card import has_custom_train_step
from keras_practices.measures.side_state import regularization_loss
from keras_practices.measures.weight_figures import coprime

# Entries of each layer's output that are kept for its histogram.
OUTPUT_ENTRIES = 10_000
# Entries of each layer's output that its figures are taken of, and fewest rows: of all
# pixels of a large picture they would cost more than the forward pass.
FIGURE_ENTRIES = 2**18
FEWEST_ROWS = 8
BINS = 40


class Probe:
    """Runs a model on fixed rows, in inference mode, and reduces what it sees.

    Nothing of the model is written. One call is one compiled function whose results
    are a few numbers a layer; it is compiled at the first call.

    Args:
        model: A built and compiled Keras model.

    Attributes:
        faults: Dict of what could not be measured → why.
        seconds: What a measurement took last, 0 while none was taken that did not
            compile.
    """

    def __init__(self, model):
        self.seconds = 0.0
        self._compiled = False
        self._model = model
        self._has_loss = bool(model.loss) and not has_custom_train_step(model)
        hidden = rematerialized(model)
        self._layers = [
            layer
            for layer in open_layers(model)
            if activation_name(layer) is not None and id(layer) not in hidden
        ]
        self._function = backend.compiled(self._run)
        self.faults = {}

    def measure(self, x, y=None, sample_weight=None):
        """Measures the model as it is now.

        Args:
            x: Inputs, NumPy arrays or, quicker, from `input_tensors`.
            y: Targets, or None: then there is no loss.
            sample_weight: Weights or None.

        Returns:
            `(losses, layers, entries)`: `(data loss, weight penalty)` as floats, None
            where there is no loss; figures by layer name as `measure_layers` gives
            them, of the first rows where a layer has very many outputs; some outputs
            of each layer by name, NumPy arrays for histograms.
        """
        begun = time.perf_counter()
        batch = {"x": x, "y": y, "w": sample_weight}
        batch = {k: input_tensors(v) for k, v in batch.items() if v is not None}
        with restore_rng():
            values = [ops.convert_to_tensor(v.value) for v in self._model.variables]
            found = self._function(values, batch)
        found = keras.tree.map_structure(_as_array, found)
        if self._compiled:
            self.seconds = time.perf_counter() - begun
        self._compiled = True
        losses = None
        if "data" in found:
            losses = float(found["data"]), float(found["penalty"])
        names = {layer.name: activation_name(layer) for layer in self._layers}
        layers = {}
        for name, parts in found["layers"].items():
            single = {k: float(part) for k, part in parts.items() if part.ndim == 0}
            figures = read_activation(parts | single)
            if figures:
                figures.pop("active", None)
                # TensorFlow's compiled ReLU makes 0 of NaN: those units are not dead.
                if not found["finite"]:
                    figures.pop("inactive", None)
                layers[name] = {"activation": names[name], **figures}
        return losses, layers, found["entries"]

    def _run(self, values, batch):
        model = self._model
        mapping = list(zip(model.variables, values, strict=True))
        sums = [ops.sum(ops.cast(v, "float32")) for v in values]
        finite = ops.isfinite(sum(sums, ops.convert_to_tensor(0.0)))
        result = {"layers": {}, "entries": {}, "finite": finite}
        with (
            keras.StatelessScope(state_mapping=mapping),
            without_noise(model),
        ):
            with captured_calls(self._layers) as calls:
                outputs = model(batch["x"], training=False)
            if self._has_loss and "y" in batch:
                with self._noting("loss on the probe"):
                    result |= self._losses(batch, outputs)
        for layer in self._layers:
            tensors = [c.outputs for c in calls if c.layer is layer]
            tensors = [_some_rows(tensor) for tensor in tensors if _is_batch(tensor)]
            if tensors:
                with self._noting(f"activations of layer {layer.name!r}"):
                    parts = [activation_parts(layer, tensor) for tensor in tensors]
                    entries = _spread(tensors[0])
                    result["layers"][layer.name] = joined_parts(parts)
                    result["entries"][layer.name] = entries
        return result

    def _losses(self, batch, outputs):
        with without_penalties(self._model):
            data = self._model.compute_loss(
                x=batch["x"],
                y=batch["y"],
                y_pred=outputs,
                sample_weight=batch.get("w"),
                training=False,
            )
        penalty = regularization_loss(self._model.trainable_variables)
        return {"data": data * backend.replicas(), "penalty": penalty}

    @contextlib.contextmanager
    def _noting(self, what):
        try:
            yield
        except Exception as error:
            # Targets that do not fit the loss: `fit` is about to say so itself.
            self.faults[what] = first_line(error)


def histogram(entries):
    """Returns `(edges, counts)` as lists over the finite entries, None without any."""
    finite = entries[np.isfinite(entries)]
    if not finite.size:
        return None
    counts, edges = np.histogram(finite.astype(np.float64), bins=BINS)
    return edges.tolist(), counts.tolist()


def _is_batch(tensor):
    if len(getattr(tensor, "shape", ())) < 2:
        return False
    return keras.backend.is_float_dtype(keras.backend.standardize_dtype(tensor.dtype))


def _some_rows(tensor):
    """As many rows as the figures of a layer need."""
    inner = tensor.shape[1:]
    if None in inner:
        return tensor
    return tensor[: max(FEWEST_ROWS, FIGURE_ENTRIES // max(1, math.prod(inner)))]


def _spread(tensor):
    """Evenly spread entries of an output, at most `OUTPUT_ENTRIES`."""
    flat = ops.reshape(ops.cast(tensor, "float32"), (-1,))
    if None in tensor.shape:
        return flat[:OUTPUT_ENTRIES]  # TensorFlow, compiled for any number of rows
    size = int(np.prod(tensor.shape))
    return flat[:: coprime(-(-size // OUTPUT_ENTRIES), size)]


def _as_array(tensor):
    return np.asarray(ops.convert_to_numpy(tensor))
