"""Watches train steps on JAX, where layers are called inside a gradient."""

import functools
import inspect

import keras

from keras_practices._core.shadowing import shadowed


def watched_step(model, watch, trace):
    """Returns a `train_step` that adds what `watch` measures to its logs.

    Tensors from inside a gradient belong to its trace and cannot be used outside it,
    but for what the differentiated function returns. With Keras's own train step the
    outputs of layers leave it that way. With one of the user's the forward pass is
    traced a second time, outside; the compiler merges what it finds alike.

    Args:
        model: A compiled Keras model.
        watch: A `keras_practices.measures.step_figures.StepFigures`.
        trace: Function that tells in which trace it is called.
    """
    original = model.train_step
    own = all(
        getattr(getattr(model, name), "__func__", None) is getattr(keras.Model, name)
        for name in ("train_step", "compute_loss_and_updates")
    )

    def train_step(state, data):
        with watch.opened(calls=False) as seen:
            opened = functools.partial(watch.opened, seen, trace=trace, carried=own)
            if own:
                logs, after, rows = _with_rows(original, model, state, data, opened)
            else:
                logs, after = original(state, data)
        if own:
            seen.replace_rows(rows)
        else:
            with opened(), watch.noting("activations"):
                _call_again(model, state, data)
        with watch.noting("weights"):
            seen.note_weights(state[0])
        return watch.add_figures(logs, seen, lambda: after[0]), after

    return train_step


def _with_rows(step, model, state, data, opened):
    """Returns `(logs, state, rows that layers gave)` of a train step of Keras's own.

    The differentiated function returns the variables that are not trained, and Keras
    hands them on as they are: the rows travel behind them.
    """

    def shadow(_, original):
        def compute_loss_and_updates(*args, **kwargs):
            with opened() as seen:
                loss, (unscaled, outputs, others, metrics) = original(*args, **kwargs)
            return loss, (unscaled, outputs, [*others, *seen.rows()], metrics)

        return compute_loss_and_updates

    with shadowed([model], shadow, "compute_loss_and_updates"):
        logs, (weights, others, slots, metrics) = step(state, data)
    count = len(state[1])
    return logs, (weights, others[:count], slots, metrics), others[count:]


def _call_again(model, state, data):
    x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
    takes_training = "training" in inspect.signature(model.call).parameters
    mode = {"training": True} if takes_training else {}
    model.stateless_call(state[0], state[1], x, **mode)
