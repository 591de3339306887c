"""Gradients and compilation on PyTorch."""

import torch


def compiled(function):
    """Returns `function` itself: PyTorch runs eagerly here, as Keras does."""
    return function


def value_and_gradients(function, values):
    """Returns `(scalar, aux)` of `function(values)` and its gradients.

    Args:
        function: Takes a list of tensors, returns `(scalar loss, anything)`.
        values: List of tensors to differentiate by.

    Returns:
        `((loss, aux), gradients)`; a value the loss does not depend on has None.
    """
    leaves = [value.detach().requires_grad_(True) for value in values]
    with torch.enable_grad():
        loss, aux = function(leaves)
        gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
    return (loss.detach(), _detached(aux)), list(gradients)


def _detached(tree):
    if isinstance(tree, torch.Tensor):
        return tree.detach()
    if isinstance(tree, list | tuple):
        return type(tree)(_detached(item) for item in tree)
    if isinstance(tree, dict):
        return {key: _detached(item) for key, item in tree.items()}
    return tree


def training_step(loss_at, optimizer, trainable, others):
    """Returns a `step(batch) -> loss` that updates the variables given.

    Args:
        loss_at: `(trainable values, other values, batch) -> (loss, other values)`.
        optimizer: Built on `trainable`.
        trainable: List of Keras variables.
        others: List of Keras variables (statistics, seeds).
    """

    def step(batch):
        kept = [v.value for v in others]
        (loss, after), gradients = value_and_gradients(
            lambda values: loss_at(values, kept, batch), [v.value for v in trainable]
        )
        filled = [
            torch.zeros_like(v.value) if g is None else g
            for g, v in zip(gradients, trainable, strict=True)
        ]
        with torch.no_grad():
            optimizer.apply(filled, trainable)
            for variable, value in zip(others, after, strict=True):
                variable.assign(value)
        return loss

    return step


def devices():
    """Returns the names of the devices that PyTorch can use."""
    count = torch.cuda.device_count()
    return [torch.cuda.get_device_name(i) for i in range(count)] or ["CPU"]
