"""Gradients and compilation on JAX."""

import jax


def compiled(function):
    """Returns `function` compiled; arguments are lists and dicts of arrays."""
    return jax.jit(function)


def value_and_gradients(function, values):
    """Returns `(scalar, aux)` of `function(values)` and its gradients.

    Args:
        function: Takes a list of arrays, returns `(scalar loss, anything)`.
        values: List of arrays to differentiate by.

    Returns:
        `((loss, aux), gradients)`; a value the loss does not depend on has zeros.
    """
    return jax.value_and_grad(function, has_aux=True)(values)


def training_step(loss_at, optimizer, trainable, others):
    """Returns a compiled `step(batch) -> loss` that updates the variables given.

    Args:
        loss_at: `(trainable values, other values, batch) -> (loss, other values)`.
        optimizer: Built on `trainable`.
        trainable: List of Keras variables.
        others: List of Keras variables (statistics, seeds).
    """

    @jax.jit
    def pure(values, kept, slots, batch):
        (loss, after), gradients = value_and_gradients(
            lambda given: loss_at(given, kept, batch), values
        )
        values, slots = optimizer.stateless_apply(slots, gradients, values)
        return loss, values, after, slots

    groups = (trainable, others, optimizer.variables)

    def step(batch):
        state = [[v.value for v in group] for group in groups]
        loss, *state = pure(*state, batch)
        for group, values in zip(groups, state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        return loss

    return step


def devices():
    """Returns the names of the devices that JAX can use."""
    return [device.device_kind for device in jax.devices()]
