"""Runs a model in float64, in one place that knows what Keras forces to 32 bit.

Whatever dtypes are asked for, Keras rounds the results of its operations to 32 bit on
JAX and PyTorch, layers cast their inputs to the dtype of their policy, losses their
arguments, models their inputs, and JAX has no 64-bit numbers at all unless it is told.
All of that is lifted here for a while and put back at the end. None of it is part of
Keras's documented interface; it is as expected in the versions named below
(`tests/core/test_float64.py`), and with others we do not try.
"""

import contextlib

import keras

from keras_practices._core import backend
from keras_practices._core.model_layers import all_layers

# Proven by the tests.
KERAS_VERSIONS = ("3.15",)
DTYPE = "float64"
_TABLE = "BIT64_TO_BIT32_DTYPE"


def why_not(model):
    """Returns why a model cannot be run in float64, None where it may be tried.

    Args:
        model: A built Keras model.
    """
    version = keras.__version__
    if ".".join(version.split(".")[:2]) not in KERAS_VERSIONS:
        return f"float64 is not proven with Keras {version}"
    if not isinstance(_rounding().get(_TABLE), dict):
        return f"Keras {version} rounds to 32 bit in a way we do not know"
    if keras.distribution.distribution() is not None:
        return "the model is distributed over devices"
    quantized = [
        layer.name for layer in _layers(model) if layer.quantization_mode is not None
    ]
    if quantized:
        return f"layer {quantized[0]!r} is quantized"
    return None


@contextlib.contextmanager
def in_float64(model):
    """Lets a model compute in float64 while the context is open.

    The values of its variables stay what they are: give it float64 ones by a
    `keras.StatelessScope`. What is read in a layer's code with a fixed 32-bit dtype
    is still rounded.

    Args:
        model: A built Keras model whose compiled loss was called before; losses that
            are made inside the context would keep the dtype.

    Yields:
        None.
    """
    swaps = _Swaps()
    floatx = keras.config.floatx()
    try:
        keras.config.set_floatx(DTYPE)
        swaps.put(_rounding()[_TABLE], DTYPE, DTYPE)
        for layer in _layers(model):
            if keras.backend.is_float_dtype(layer.compute_dtype):
                swaps.put(vars(layer), "_dtype_policy", keras.DTypePolicy(DTYPE))
            # Models convert what they are given, also in the midst of another model.
            for tensor in (layer, *(getattr(layer, "_inputs", None) or ())):
                _widen(swaps, tensor)
        for variable in model.variables:
            _widen(swaps, variable)
        for loss in _losses(model):
            swaps.put(vars(loss), "_dtype_policy", keras.DTypePolicy(DTYPE))
            swaps.put(vars(loss), "_dtype", DTYPE)
        with backend.double_precision():
            yield
    finally:
        swaps.undo()
        keras.config.set_floatx(floatx)


class _Swaps:
    """Entries of dicts that stand there for a while."""

    def __init__(self):
        self._before = []

    def put(self, owner, name, value):
        if name in owner:
            # Noted first: an interrupt may come between two lines.
            self._before.append((owner, name, owner[name]))
            owner[name] = value

    def undo(self):
        for owner, name, value in reversed(self._before):
            owner[name] = value


def _rounding():
    """The names that Keras's rule of result types reads."""
    return getattr(keras.backend.result_type, "__globals__", {})


def _widen(swaps, tensor):
    """Lets a variable, or an input of a model, of a float dtype report float64."""
    dtype = getattr(tensor, "_dtype", None)
    if isinstance(dtype, str) and keras.backend.is_float_dtype(dtype):
        swaps.put(vars(tensor), "_dtype", DTYPE)


def _layers(model):
    """The model, all layers in it, and the graphs that sequential models hold."""
    found = {id(layer): layer for layer in all_layers(model, itself=True)}
    for layer in list(found.values()):
        graph = getattr(layer, "_functional", None)
        if isinstance(graph, keras.layers.Layer):
            found.setdefault(id(graph), graph)
    return list(found.values())


def _losses(model):
    """The losses that a model was compiled with or holds, and those inside them."""
    found, todo = {}, [getattr(model, "_compile_loss", None)]
    for layer in _layers(model):
        todo += [v for v in vars(layer).values() if isinstance(v, keras.losses.Loss)]
    while todo:
        loss = todo.pop()
        if loss is None or id(loss) in found:
            continue
        found[id(loss)] = loss
        todo += [v for v in vars(loss).values() if isinstance(v, keras.losses.Loss)]
        todo += [one.loss for one in getattr(loss, "_flat_losses", None) or ()]
    return list(found.values())
