"""What the compiled loss does with targets and predictions, found out by trying it.

The name of a loss says nothing about one that the user wrote. Each trait is read off
values of the loss on the real targets and made-up predictions of the right shape.
"""

import math

import keras
import numpy as np
from keras import ops

from keras_practices._core import backend
from keras_practices._core.randomness import restore_rng
from keras_practices.measures.arrays import measure_targets
from keras_practices.measures.capture import without_penalties
from keras_practices.measures.layers import input_tensors
from keras_practices.measures.layers import run_forward
from keras_practices.measures.loss_probes import probe_loss
from keras_practices.measures.model_card import has_custom_train_step
from keras_practices.measures.model_card import measure_outputs
from keras_practices.measures.set_up import pair_outputs

# A number of rows that no other axis is likely to have.
ROWS = 37
# Entries of predictions in one call of the loss, at most: some megabytes.
_ENTRIES = 2**20


def measure_loss_behaviour(model, sample, outputs=None):
    """Probes the loss of each output on real targets and made-up predictions.

    Args:
        model: Built and compiled Keras model; it is not written.
        sample: A `Sample` with targets.
        outputs: The figures "outputs" of the model, None to read them here.

    Returns:
        Dict output name → dict (see `probe_loss`), None where no loss is compiled or
        it cannot be called by itself. Empty where the compiled loss need not be what
        trains: no targets, no loss, a `train_step` of the user's own.
    """
    own_loss = type(model).compute_loss is not keras.Model.compute_loss
    no_loss = getattr(model, "loss", None) is None and not own_loss
    if sample.y is None or no_loss or has_custom_train_step(model):
        return {}
    outputs = measure_outputs(model) if outputs is None else outputs
    x, y, _ = sample.head(ROWS)
    with restore_rng():
        (predictions,) = run_forward(model, input_tensors(x))
        flat = [_numbers(part) for part in leaves_by_output(predictions, outputs)]
        given = len(keras.tree.flatten(x)[0])
        if len(flat) != len(outputs) or any(_rows(p) != given for p in flat):
            return {}
        largest = max(math.prod(part.shape[1:]) for part in flat)
        rows = min(given, max(4, _ENTRIES // max(1, largest)))
        if len(flat) == 1:
            losses = [_whole_loss(model, x, y, predictions, rows)]
            targets = keras.tree.flatten(y) + [None]
            targets = targets[:1] if len(targets) == 2 else [None]
            wholes = keras.tree.flatten(sample.y)[:1]
        else:
            losses = _single_losses(model, outputs)
            targets = [array for _, array in pair_outputs(outputs, y)]
            wholes = [array for _, array in pair_outputs(outputs, sample.y)]
        found = {}
        parts = zip(outputs, losses, targets, wholes, flat, strict=True)
        for output, loss, target, whole, prediction in parts:
            known = loss is not None and target is not None
            found[output["name"]] = (
                probe_loss(
                    loss,
                    np.asarray(target)[:rows],
                    prediction[:rows],
                    measure_targets(whole),
                )
                if known
                else None
            )
    return found


def leaves_by_output(predictions, outputs):
    """Returns the tensors that a model gave as a list in the order of its outputs.

    Args:
        predictions: What the model returned: a tensor or a structure of them.
        outputs: The figures "outputs" of the model.

    Returns:
        List of tensors. A dict is read by name, since flattening sorts its keys.
    """
    names = [output["name"] for output in outputs]
    if isinstance(predictions, dict) and set(names) == set(predictions):
        return [predictions[name] for name in names]
    return keras.tree.flatten(predictions)


def _rows(array):
    return len(array) if array.ndim else 0


def _numbers(tensor):
    return np.asarray(ops.convert_to_numpy(tensor), dtype=np.float32)


def _whole_loss(model, x, y, predictions, rows):
    """The loss that training calls, of a model with one output.

    Returns:
        Function `(targets, predictions) -> float` of NumPy arrays; the rows of `x`
        that go with them are repeated as often as needed.
    """
    variables = model.variables

    def run(values, inputs, targets, guesses):
        present = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=present), without_penalties(model):
            value = model.compute_loss(
                x=inputs,
                y=_filled(y, targets),
                y_pred=_filled(predictions, guesses),
                sample_weight=None,
                training=True,
            )
        return _sum(value)

    run = backend.as_one(run)

    def loss(targets, guesses):
        copies = len(guesses) // rows
        inputs = keras.tree.map_structure(
            lambda a: np.concatenate([a[:rows]] * copies), x
        )
        given = [input_tensors(part) for part in (inputs, targets, guesses)]
        # What the loss makes for itself gets its values when this scope ends.
        with keras.StatelessScope():
            return _number(run([v.value for v in variables], *given))

    return loss


def _filled(structure, tensor):
    """A structure of one leaf, with another tensor in its place."""
    return keras.tree.map_structure(lambda _: tensor, structure)


def _single_losses(model, outputs):
    """One function an output, None where its loss cannot be had by itself."""
    losses = model.loss
    if isinstance(losses, dict):
        chosen = [losses.get(output["name"]) for output in outputs]
    elif isinstance(losses, list | tuple):
        chosen = [*losses, *[None] * len(outputs)][: len(outputs)]
    else:
        chosen = [losses] * len(outputs)
    return [_single_loss(loss) for loss in chosen]


def _single_loss(loss):
    try:
        found = keras.losses.get(loss) if isinstance(loss, str) else loss
    except ValueError:  # a name that Keras reads off the shapes, such as "ce"
        return None
    if not callable(found):
        return None
    if not isinstance(found, keras.losses.Loss):
        found = _Function(found)

    run = backend.as_one(lambda targets, guesses: _sum(found(targets, guesses)))
    return lambda *arrays: _number(run(*map(input_tensors, arrays)))


class _Function(keras.losses.Loss):
    """A function as Keras calls it when it is compiled: ranks made equal."""

    def __init__(self, function):
        super().__init__(name="probed")
        self.function = function

    def call(self, y_true, y_pred):
        ranks = len(y_true.shape), len(y_pred.shape)
        if ranks == (1, 2) and y_pred.shape[-1] == 1:
            y_true = ops.expand_dims(y_true, -1)
        elif ranks == (2, 1) and y_true.shape[-1] == 1:
            y_pred = ops.expand_dims(y_pred, -1)
        elif ranks[0] == ranks[1] + 1 and y_true.shape[-1] == 1:
            y_true = ops.squeeze(y_true, -1)
        elif ranks[1] == ranks[0] + 1 and y_pred.shape[-1] == 1:
            y_pred = ops.squeeze(y_pred, -1)
        return self.function(y_true, y_pred)


def _sum(value):
    # What is not reduced is summed by the gradient.
    return ops.sum(ops.cast(value, "float32"))


def _number(scalar):
    return float(ops.convert_to_numpy(scalar))
