"""Members of one architecture run as one: their weights side by side."""

import contextlib
import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_practices._core.backend import traced
from keras_practices.ensembles.outputs import shapes

# Bytes of what one layer gives for all members: with more than a processor's cache
# holds, members one after the other are faster (of 1,024 rows by a third).
_CACHE = 2**20
# Layers that do the same to each member's values, and nothing else, in inference.
_SAFE = (
    keras.layers.InputLayer,
    keras.layers.Dense,
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.Softmax,
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.Reshape,
    keras.layers.Rescaling,
    keras.layers.Add,
    keras.layers.Concatenate,
)


def can_stack(members: Any) -> bool:
    """Whether members can be run as one, and gain from it.

    PyTorch runs the layers one by one, and for small models most of the time is spent
    around the sums. TensorFlow and JAX compile the members into one program anyway.

    Args:
        members: List of built models.
    """
    if keras.backend.backend() != "torch" or len(members) < 2:
        return False
    for member in members:
        if shapes(member, "input") is None:
            return False
        if not all(type(layer) in _SAFE for layer in member.layers):
            return False
    first = _architecture(members[0])
    return all(_architecture(member) == first for member in members[1:])


def _architecture(model):
    """Returns the configuration of a model without what names and draws weights."""
    names = {layer.name: f"layer {place}" for place, layer in enumerate(model.layers)}

    def clean(value):
        if isinstance(value, dict):
            return {
                key: clean(one)
                for key, one in value.items()
                if key not in ("name", "trainable") and "initializer" not in key
            }
        if isinstance(value, list | tuple):
            return [clean(one) for one in value]
        return names.get(value, value) if isinstance(value, str) else value

    shapes_of = [
        [tuple(variable.shape) for variable in layer.variables]
        for layer in model.layers
    ]
    return type(model), shapes_of, clean(model.get_config())


def stacked_weights(members: Any) -> list[Any] | None:
    """Returns the weights of all members side by side, in the order of the layers.

    That order stays; freezing or compiling a member moves its variables elsewhere in
    the lists of the model.

    Args:
        members: List of models for which `can_stack` holds.

    Returns:
        One tensor a variable, members along axis 0; None where a member has other
        variables by now.
    """
    stacked = []
    for layers in zip(*(one.layers for one in members), strict=True):
        each = [layer.variables for layer in layers]
        for alike in itertools.zip_longest(*each):
            if any(one is None or one.shape != alike[0].shape for one in alike):
                return None
            stacked.append(ops.stack([variable.value for variable in alike]))
    return stacked


def run_stacked(members: Any, inputs: Any, weights: list[Any]) -> list[Any]:
    """Returns what each member gives in inference, computed together where that helps.

    Args:
        members: List of models for which `can_stack` holds.
        inputs: What they are called with.
        weights: From `stacked_weights`.
    """

    def run_one(member, values):
        variables = [one for layer in member.layers for one in layer.variables]
        pairs = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=pairs):
            return member(inputs, training=False)

    if _is_large(inputs, weights):
        # Once for each weight: a place taken out of each would be a sum of its own.
        apart = [ops.unstack(each) for each in weights]
        return [
            run_one(member, [each[place] for each in apart])
            for place, member in enumerate(members)
        ]
    outputs = ops.vectorized_map(functools.partial(run_one, members[0]), weights)
    return [
        keras.tree.map_structure(lambda leaf, place=place: leaf[place], outputs)
        for place in range(len(members))
    ]


def _is_large(inputs, weights):
    rows = keras.tree.flatten(inputs)[0].shape[:1]
    widths = [each.shape[-1] for each in weights if len(each.shape) > 1]
    members = weights[0].shape[0] if weights else 1
    return 4 * members * math.prod(rows) * max(widths, default=1) > _CACHE


class StackedPredictor:
    """Members as one program for `predict`, made for each structure of the inputs.

    Args:
        members: List of models for which `can_stack` holds.
        combine: Function of the list of what each member gives.
    """

    def __init__(self, members: Any, combine: Any):
        self._members, self._combine = members, combine
        self._weights: Any = None
        # Form of the call -> the program and the structure of what it gives.
        self._programs: dict[Any, Any] = {}

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Puts the weights side by side once, for all batches of one `predict`.

        They are not kept for the next one: whoever writes into a weight, and be it
        past Keras and past PyTorch's count of writes, is seen.
        """
        self._weights = stacked_weights(self._members)
        try:
            yield
        finally:
            self._weights = None

    def __call__(self, x: Any) -> Any:
        """Returns what the members give for a batch, combined, or None if it cannot."""
        weights = self._weights
        if weights is None:
            weights = stacked_weights(self._members)
        given = keras.tree.flatten(x)
        if weights is None or any(one is None for one in given):
            return None
        tensors = [ops.convert_to_tensor(one) for one in given]
        like = keras.tree.map_structure(lambda _: 0, x)
        form = str(like), len(weights)
        if form not in self._programs:
            self._programs[form] = self._program(like, len(weights))
        program, structure = self._programs[form]
        outputs = program(*weights, *tensors)
        return keras.tree.pack_sequence_as(structure[0], outputs)

    def _program(self, like, count):
        structure = []

        def run(*tensors):
            inputs = keras.tree.pack_sequence_as(like, list(tensors[count:]))
            each = run_stacked(self._members, inputs, list(tensors[:count]))
            outputs = self._combine(each)
            structure[:] = [keras.tree.map_structure(lambda _: 0, outputs)]
            return keras.tree.flatten(outputs)

        return traced(run), structure


class _Unheard(keras.callbacks.CallbackList):
    """Hooks of `predict` that nobody listens to.

    Keras makes threads to run hooks that do nothing, or turns what each batch gave
    into NumPy for them, for which JAX waits. Small models feel it.
    """

    def on_predict_begin(self, logs: Any = None) -> None:
        """Does nothing."""

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        """Does nothing."""

    on_predict_end = on_predict_begin
    on_predict_batch_begin = on_predict_batch_end


class StackedModel(keras.Model):
    """A model whose `predict` asks members side by side where that is possible.

    `call` must be what is combined from the members; the rest is Keras's.
    """

    _predictor: Any = None

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Predicts, as any model."""
        if callbacks is None and verbose == 0:
            callbacks = _Unheard()
        opened = self._predictor.open() if self._predictor else contextlib.nullcontext()
        with opened:
            return super().predict(x, batch_size, verbose, steps, callbacks)

    def predict_step(self, *args: Any, **kwargs: Any) -> Any:
        """Predicts one batch, as any model."""
        # Who compiles or debugs the model wants to see the layers.
        if self._predictor is None or self.run_eagerly or self.jit_compile:
            return super().predict_step(*args, **kwargs)
        x, _, _ = keras.utils.unpack_x_y_sample_weight(*args, **kwargs)
        outputs = self._predictor(x)
        if outputs is None:
            return super().predict_step(*args, **kwargs)
        return outputs
