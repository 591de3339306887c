"""The true loss of a batch out of Keras's running mean."""

import keras


class BatchLoss:
    """Recovers the loss of each batch.

    `logs["loss"]` is the mean over the epoch so far. The loss tracker behind it keeps
    a sum and a weight; their differences are the loss of the last batch. Where a model
    has no such tracker the mean itself is taken apart, with batches of equal weight.
    """

    def __init__(self):
        self.reset()

    def reset(self):
        """Begins a new epoch."""
        self.batches = 0
        self._total = 0.0
        self._count = 0.0

    def read(self, model, logs, batch):
        """Returns the loss since the last call (one batch, or one execution).

        Args:
            model: The model as it is now.
            logs: What `on_train_batch_end` was given.
            batch: Index of the last batch within the epoch.

        Returns:
            Float; NaN where the model reports no loss.
        """
        self.batches = batch + 1
        total, count = self._sums(model, logs)
        step = count - self._count
        loss = (total - self._total) / step if step > 0 else float("nan")
        self._total, self._count = total, count
        return loss

    def _sums(self, model, logs):
        for metric in model.metrics:
            if metric.name == "loss" and isinstance(metric, keras.metrics.Mean):
                return _number(metric.total), _number(metric.count)
        mean = float((logs or {}).get("loss", float("nan")))
        return mean * self.batches, float(self.batches)


def _number(variable):
    return float(keras.ops.convert_to_numpy(variable.value))
