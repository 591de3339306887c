"""What hooks have caught of one training step, on the device."""

import math

import keras
from keras import ops

from keras_practices._core import backend
from keras_practices.measures.activation_figures import activation_parts
from keras_practices.measures.weight_figures import LARGE
from keras_practices.measures.weight_figures import measure_gradient

# Rows of the batch on which activations are measured.
ACTIVATION_ROWS = 8
# Layers that are an activation of each row by itself, beside `Activation`.
ACTIVATIONS = (keras.layers.ELU, keras.layers.LeakyReLU, keras.layers.ReLU)


class StepCatch:
    """Holds gradients, old weights and rows of layers' outputs, in one thread.

    Args:
        figures: The `StepFigures` whose hooks fill it.

    Attributes:
        elsewhere: Dict id → layer of those whose outputs belong to another trace.
        gradients: Dict id of the variable → its gradient.
        measured: Dict id of the variable → figures of its gradient, where it is
            measured already.
        weights: List of tensors, one for each variable, or None.
    """

    def __init__(self, figures):
        self._figures = figures
        self._calls = None
        self._parts = []
        self.elsewhere = {}
        self.weights = None
        self.gradients = {}
        self.measured = {}
        self._kept = {}

    @property
    def variables(self):
        """Trainable variables of the model; it may be built in this very step."""
        return self._figures.variables

    @property
    def strides(self):
        """Distances of the entries that are kept of each variable."""
        return self._figures.strides

    def open(self, *, calls=True, trace=None, carried=False, at_once=False):
        """Begins to listen, or no longer listens, to calls of layers.

        Args:
            calls: Bool. Whether outputs of layers are caught.
            trace: Function that tells in which graph or trace it is called, or None.
                Outputs of another one than that of the step cannot be used in it.
            carried: Bool. Whether what is caught will be carried out of this trace.
            at_once: Bool. Whether outputs are measured when they come: where nothing
                is compiled, rows that are kept keep all of their output.
        """
        self._calls = [] if calls else None
        self._at_once = at_once
        self._trace, self._carried = None, carried
        if trace is not None:
            self._within, self._trace = trace(), trace

    def note_call(self, layer, function, args, outputs):
        """Keeps rows of the first output of a layer.

        Args:
            layer: A Keras layer.
            function: What it computes with.
            args: Tuple of its arguments.
            outputs: What came out.
        """
        if self._calls is None:
            return
        if self._trace is not None and self._trace() != self._within:
            self.elsewhere[id(layer)] = layer
            return
        kept, make = outputs, None
        if self._carried and args and _is_activation(layer):
            # An output that only a mean takes in, as behind the last ReLU of a ResNet,
            # XLA sums with other rounding once it has to be kept.
            kept, make = args[0], function
        rows = _first_rows(kept)
        if rows is None:
            return
        self._calls.append((layer, rows, make))
        if self._at_once:
            self._parts += self._measured()
            self._calls.clear()

    def rows(self):
        """Returns the tensors that are kept of calls, as a list."""
        return [rows for _, rows, _ in self._calls]

    def replace_rows(self, tensors):
        """Puts other tensors in their place, which can be used in another trace."""
        pairs = zip(self._calls, tensors, strict=True)
        self._calls = [(layer, rows, make) for (layer, _, make), rows in pairs]

    def parts(self):
        """Returns `(layer, figures of its first rows)` of each call, as a list."""
        return [*self._parts, *self._measured()]

    def _measured(self):
        found = []
        for layer, rows, make in self._calls or ():
            with self._figures.noting(f"activations of layer {layer.name!r}"):
                rows = rows if make is None else make(rows)
                found.append((layer, activation_parts(layer, rows)))
        return found

    def note_weights(self, values):
        """Keeps the weights as they were before the first update of the step.

        Of a large model only evenly spread entries are kept: updates are made in place.

        Args:
            values: List of tensors, one for each variable.

        Returns:
            List of what is kept.
        """
        if self.weights is None:
            kept = zip(self.variables, values, self.strides, strict=True)
            self.weights = [self._spread(*one) for one in kept]
        return self.weights

    def note_gradients(self, variables, gradients):
        """Keeps the gradients of the step; the last update counts."""
        for variable, gradient in zip(variables, gradients, strict=True):
            self.gradients[id(variable)] = gradient

    def measured_first(self, variables, values):
        """Measures large gradients, and makes their updates wait for that.

        A compiler that frees a gradient once it is used keeps all of them, as large as
        the model, where they are measured after the updates.

        Args:
            variables: List of variables, of which `gradients` has the gradients.
            values: List of their tensors before the update.

        Returns:
            List of the same tensors, to be updated.
        """
        strides = zip(self.variables, self.strides, strict=True)
        strides = {id(variable): stride for variable, stride in strides}
        results = []
        for variable, value in zip(variables, values, strict=True):
            if math.prod(value.shape) > LARGE and id(variable) in strides:
                figures = measure_gradient(self.gradients[id(variable)])
                kept = _spread(value, strides[id(variable)])
                self.measured[id(variable)] = figures  # the last update counts
                self._kept.setdefault(id(variable), kept)
                # Never below zero, which a compiler does not know.
                parts = [backend.total(ops.abs(x)) for x in (*figures, kept)]
                value = ops.where(sum(parts) < 0, ops.zeros_like(value), value)
            results.append(value)
        return results

    def _spread(self, variable, value, stride):
        kept = self._kept.get(id(variable))
        return _spread(value, stride) if kept is None else kept


def _is_activation(layer):
    """Whether a layer is one of Keras's activations: some rows can be had alone."""
    if type(layer) is keras.layers.Activation:
        name = getattr(layer.activation, "__name__", "")
        # A function of the user's may mix rows.
        return getattr(keras.activations, name, None) is layer.activation
    return type(layer) in ACTIVATIONS


def _first_rows(outputs):
    tensor = outputs
    if not hasattr(tensor, "shape"):
        tensor = next(iter(keras.tree.flatten(outputs)), None)
    shape = getattr(tensor, "shape", None)
    if shape is None or len(shape) < 2 or shape[-1] is None:
        return None
    if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(tensor.dtype)):
        return None
    return ops.stop_gradient(tensor[:ACTIVATION_ROWS])


def _spread(tensor, stride):
    return tensor if stride == 1 else ops.reshape(tensor, (-1,))[::stride]
