"""A line of progress in the terminal while `fit` runs."""

import keras


class Progress(keras.callbacks.Callback):
    """Shows epoch, loss and validation accuracy with rich.

    Args:
        console: A `rich.console.Console`.
        epochs: Int. Epochs of the training.
    """

    def __init__(self, console, epochs):
        super().__init__()
        from rich import progress

        self._bar = progress.Progress(
            progress.TextColumn("training"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("epochs"),
            progress.TimeElapsedColumn(),
            progress.TextColumn("{task.description}"),
            console=console,
        )
        self._task = self._bar.add_task("", total=epochs)

    def on_train_begin(self, logs=None):
        """Draws the line."""
        self._bar.start()

    def on_epoch_end(self, epoch, logs=None):
        """Moves it on."""
        logs = logs or {}
        text = f"loss {logs.get('loss', float('nan')):.4f}"
        if "val_accuracy" in logs:
            text += f"  validation accuracy {logs['val_accuracy']:.4f}"
        self._bar.update(self._task, advance=1, description=text)

    def stop(self):
        """Leaves the line as it is; also after a training that raised."""
        self._bar.stop()
