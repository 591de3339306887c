"""What one training step did, measured inside the step and reduced on the device."""

import contextlib
import threading

import keras
import numpy as np
from keras import ops

from keras_practices._core import backend
from keras_practices._core.model_layers import all_layers
from keras_practices._core.shadowing import shadowed
from keras_practices._core.train_function import FIGURES
from keras_practices.measures.activation_figures import joined_parts
from keras_practices.measures.capture import activation_name
from keras_practices.measures.capture import open_layers
from keras_practices.measures.capture import rematerialized
from keras_practices.measures.step_catch import StepCatch
from keras_practices.measures.step_layout import StepLayout
from keras_practices.measures.weight_figures import kept_stride
from keras_practices.measures.weight_figures import weight_parts

_ELSEWHERE = "It runs in a loop, a branch or a rematerialized function."


class StepFigures:
    """Measures a training step from inside; used by a watched train function.

    While a step is traced (on PyTorch: run) hooks catch gradients, weights before the
    update and the outputs of every layer with an activation. All of it is reduced to
    one small vector on the device; `read` turns the vector into figures. The update of
    a model of more than a million weights is estimated from a quarter of a million
    evenly spread entries, beside the norm of the new weights, so that the memory of a
    sample does not grow with the model.

    Layers of a `RematScope` are left out: their forward pass is run again inside the
    gradient.

    Args:
        model: A compiled Keras model.
    """

    def __init__(self, model):
        self._model = model
        self._layouts = []
        self._activations = {}
        self._local = threading.local()
        self._faults = {}
        self._look()

    def _look(self):
        model = self._model
        self._built = model.built and all(x.built for x in all_layers(model))
        self._variables = list(model.trainable_variables)
        self._sizes = [int(np.prod(v.shape)) for v in self._variables]
        self._paths = _distinct([v.path for v in self._variables])
        total = sum(self._sizes)
        self.strides = [kept_stride(size, total) for size in self._sizes]
        layers, hidden = open_layers(model), rematerialized(model)
        names = _distinct([layer.name for layer in layers])
        self._layers = {
            name: layer
            for name, layer in zip(names, layers, strict=True)
            if activation_name(layer) is not None and id(layer) not in hidden
        }
        paths = {id(v): p for v, p in zip(self._variables, self._paths, strict=True)}
        self._owners = {
            name: [paths[id(v)] for v in layer.trainable_variables if id(v) in paths]
            for name, layer in zip(names, layers, strict=True)
        }

    @property
    def variables(self):
        """Trainable variables of the model, in its own order."""
        if not self._built:
            # TensorFlow builds a model inside its first step.
            self._look()
        return self._variables

    # --- hooks ---------------------------------------------------------------

    @contextlib.contextmanager
    def hooked(self):
        """Puts the hooks on layers and optimizer while the context is open."""
        # Replicas are traced in threads of their own, so hooks are set around them
        # all and do nothing in a thread that has no step open.
        layers = list(self._layers.values())
        with shadowed(layers, self._watched_call), contextlib.ExitStack() as stack:
            for optimizer in _optimizers(self._model):
                name, function = backend.watched_apply(optimizer, self)
                hook = shadowed([optimizer], lambda *_, hook=function: hook, name)
                stack.enter_context(hook)
            yield

    def _watched_call(self, layer, original):
        def call(*args, **kwargs):
            outputs = original(*args, **kwargs)
            with self.noting("activations") as seen:
                if seen is not None:
                    seen.note_call(layer, original, args, outputs)
            return outputs

        return call

    @contextlib.contextmanager
    def opened(self, seen=None, **how):
        """Begins a step in this thread, or goes on with one.

        Args:
            seen: What an earlier context of the same step yielded.
            **how: What `StepCatch.open` takes.

        Yields:
            What the hooks catch.
        """
        seen = seen or StepCatch(self)
        with self.noting("activations"):
            seen.open(**how)
        outer = getattr(self._local, "seen", None)
        self._local.seen = seen
        try:
            yield seen
        finally:
            self._local.seen = outer

    @contextlib.contextmanager
    def noting(self, what="gradients"):
        """Yields the step that is open in this thread; a fault in it is kept."""
        try:
            yield getattr(self._local, "seen", None)
        except Exception as error:
            self._faults.setdefault(what, error)

    def take_faults(self):
        """Returns `(what, error or reason)` of what failed since the last call."""
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
        parts = []  # each one `(keys of its entries, tensor of rank 1)`
        for what, measure in (
            ("weights", lambda: weight_parts(seen, values(), self._sizes)),
            ("activations", lambda: self._layer_parts(seen)),
        ):
            with self.noting(what):
                parts += measure()
        if not parts:
            return logs
        with self.noting("figures of the steps"):
            # A step is traced more than once, and not always finds the same: the
            # vector says which layout is its own.
            layout = self._layout_of(parts)
            if layout not in self._layouts:
                self._layouts.append(layout)
            index = ops.full((1,), self._layouts.index(layout), "float32")
            vector = backend.joined([index, *(tensor for _, tensor in parts)])
            return {**logs, FIGURES: vector}
        return logs

    def _layout_of(self, parts):
        paths, entries = self._paths, []
        for keys, tensor in parts:
            length = int(tensor.shape[0]) // len(keys)
            for figure, where in keys:
                of_layer = isinstance(where, str)
                name = where if of_layer else paths[where]
                entries.append((figure, name, of_layer, length))
        sizes = dict(zip(paths, self._sizes, strict=True))
        return StepLayout(entries, sizes, self._owners, dict(self._activations))

    def _layer_parts(self, seen):
        found = {}
        for layer, parts in seen.parts():
            found.setdefault(id(layer), (layer, []))[1].append(parts)
        for layer in seen.elsewhere.values():
            if id(layer) not in found:
                what = f"activations of layer {layer.name!r}"
                self._faults.setdefault(what, _ELSEWHERE)
        scalars, flags = {}, []
        names = {id(layer): name for name, layer in self._layers.items()}
        for layer, calls in found.values():
            name = names.get(id(layer), layer.name)
            self._activations[name] = activation_name(layer)
            parts = joined_parts(calls)
            if "active" in parts:
                flags.append(([("active", name)], parts.pop("active")))
            scalars |= {(figure, name): value for figure, value in parts.items()}
        if not scalars:
            return []
        return [(list(scalars), backend.stacked(list(scalars.values()))), *flags]

    # --- on the host -----------------------------------------------------------

    def read(self, vector):
        """Turns the vector of a step into figures.

        Args:
            vector: From the logs of the step.

        Returns:
            `(weights, layers, gradients)`: figures by variable path; figures by layer
            name, with the entry `active` (one flag a unit) where units can die; some
            entries of each gradient by path. Where a name stands twice, the later one
            has a number.
        """
        values = np.asarray(ops.convert_to_numpy(vector), dtype=np.float64)
        return self._layouts[int(values[0])].read(values[1:])


def _optimizers(model):
    """Optimizers of a model; two networks in one often have one each."""
    held = [model.optimizer, *vars(model).values()]
    known = [one for one in held if isinstance(one, keras.optimizers.Optimizer)]
    return list({id(one): one for one in known}.values())


def _distinct(names):
    """Names, with a number where one stands twice."""
    seen, result = {}, []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return result
