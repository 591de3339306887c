"""Weight decay for weights only."""

import keras

from keras_practices._core.validation import type_error
from keras_practices.errors import UsageError
from keras_practices.regularizers.weights import split_variables


def exclude_from_weight_decay(
    optimizer: keras.optimizers.Optimizer, model: keras.Model
) -> list[str]:
    """Keeps an optimizer's weight decay off biases and normalization parameters.

    In Keras `weight_decay` shrinks every trainable variable, gamma and beta of
    BatchNormalization too. This calls the optimizer's own `exclude_from_weight_decay`
    with the right variables (its `var_names` looks for `"gamma"` in the name, and
    does not find a layer's name there). An earlier exclusion is replaced.

    Call it after `compile`, before or after `fit`. Keras does not save exclusions:
    call it again after loading a model, else the biases decay from there on. Wrapped
    optimizers (mixed precision, `MultiOptimizer`) are excluded inside.

    Args:
        optimizer: Optimizer of the model, `model.optimizer`.
        model: A built `keras.Model`.

    Returns:
        List of the paths of the variables that do not decay any more.

    Raises:
        TypeError: not an optimizer, not a Keras model.
        RuntimeError: the model is not built.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.AdamW(weight_decay=0.01), "mse")
    >>> exclude_from_weight_decay(model.optimizer, model)
    ['sequential/dense/bias']

    References:
        Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019;
        CS231n, "Neural Networks Part 2", regularization ("it is not common to
        regularize the bias").
    """
    name = "exclude_from_weight_decay"
    if not isinstance(model, keras.Model):
        raise type_error(name, "model", "a keras.Model", model)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        expected = "a keras.optimizers.Optimizer"
        advice = "After compile it is model.optimizer."
        raise type_error(name, "optimizer", expected, optimizer, advice)
    if not model.built:
        raise UsageError(
            f"{name}: argument `model` must be built, so that it has weights. "
            f"Received: model={model.name!r}, not built. Give it a keras.Input, or "
            f"call it on a batch first."
        )
    _, others = split_variables(model)
    variables = [variable for _, variable in others]
    for inner in _inner_optimizers(optimizer):
        _exclude(inner, variables)
    if getattr(model, "train_function", None) is not None:
        # What decays is decided while the step is traced.
        model.make_train_function(force=True)
    return [variable.path for variable in variables]


def _inner_optimizers(optimizer):
    """Returns the optimizers that apply the decay."""
    inner = getattr(optimizer, "inner_optimizer", None)
    if inner is not None:
        return _inner_optimizers(inner)
    several = getattr(optimizer, "optimizers", None)
    if several is not None:
        return [one for part in several for one in _inner_optimizers(part)]
    return [optimizer]


def _exclude(optimizer, variables):
    # Keras refuses once the optimizer is built, but reads the exclusions afresh at
    # each step. Without this a loaded model could not be given them at all.
    built, optimizer.built = optimizer.built, False
    try:
        optimizer.exclude_from_weight_decay(var_list=variables)
    finally:
        optimizer.built = built
