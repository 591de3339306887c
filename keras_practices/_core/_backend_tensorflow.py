"""Gradients and compilation on TensorFlow."""

import tensorflow as tf


def compiled(function):
    """Returns `function` compiled; arguments are lists and dicts of tensors."""
    return tf.function(function, autograph=False, reduce_retracing=True)


def value_and_gradients(function, values):
    """Returns `(scalar, aux)` of `function(values)` and its gradients.

    Args:
        function: Takes a list of tensors, returns `(scalar loss, anything)`.
        values: List of tensors to differentiate by.

    Returns:
        `((loss, aux), gradients)`; a value the loss does not depend on has None.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(values)
        loss, aux = function(values)
    gradients = tape.gradient(loss, values)
    return (loss, aux), [
        tf.convert_to_tensor(g) if isinstance(g, tf.IndexedSlices) else g
        for g in gradients
    ]


def training_step(loss_at, optimizer, trainable, others):
    """Returns a compiled `step(batch) -> loss` that updates the variables given.

    Args:
        loss_at: `(trainable values, other values, batch) -> (loss, other values)`.
        optimizer: Built on `trainable`.
        trainable: List of Keras variables.
        others: List of Keras variables (statistics, seeds).
    """

    def step(batch):
        kept = [tf.convert_to_tensor(v.value) for v in others]
        (loss, after), gradients = value_and_gradients(
            lambda values: loss_at(values, kept, batch),
            [tf.convert_to_tensor(v.value) for v in trainable],
        )
        filled = [
            tf.zeros_like(v.value) if g is None else g
            for g, v in zip(gradients, trainable, strict=True)
        ]
        optimizer.apply(filled, trainable)
        for variable, value in zip(others, after, strict=True):
            variable.assign(value)
        return loss

    return compiled(step)


def devices():
    """Returns the names of the devices that TensorFlow can use."""
    found = tf.config.list_physical_devices()
    details = [tf.config.experimental.get_device_details(d) for d in found]
    return [
        detail.get("device_name", device.device_type)
        for device, detail in zip(found, details, strict=True)
    ]
