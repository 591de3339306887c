"""The place of a callback among those of one `fit`."""

import keras


def move_first(callback, frame):
    """Moves a callback to the front of the list that is calling it.

    An epoch without validation has no hook before those of its end, where each
    callback is called in its turn: one that prepares the model for the others must be
    the first. Keras hands no callback its list, so it is read off the caller. Where a
    caller is something else, nothing happens.

    Nothing documented does the same. `set_model` and `set_params` bring the model and
    the numbers of the `fit`, not the list. The end of the last batch comes before the
    end of the epoch, but which batch is the last is not known of a generator, and each
    hook at the end of a batch has Keras fetch the logs and wait for the device. A
    callback that wraps the others, or a `CallbackList` made by the user, would leave
    the order to who writes the `fit`.

    Args:
        callback: The callback, in its `on_train_begin`.
        frame: Frame that called it.
    """
    # A subclass may have called its base.
    while frame is not None and frame.f_locals.get("self") is callback:
        frame = frame.f_back
    caller = None if frame is None else frame.f_locals.get("self")
    if isinstance(caller, keras.callbacks.CallbackList):
        # Those before it have been called, and are moved up by one: the loop that is
        # under way neither repeats nor misses any.
        place = caller.callbacks.index(callback)
        caller.callbacks.insert(0, caller.callbacks.pop(place))
