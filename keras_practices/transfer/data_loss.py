"""The loss of the data without the penalties of weights."""

import keras
from keras import ops

from keras_practices._core.registration import register


@register
class DataLoss(keras.metrics.Metric):
    """Mean over rows of a loss, weighed as `fit` weighs the loss that it logs.

    What `fit` logs as `loss` holds the penalties of the layers that learn at present,
    and jumps when others are unfrozen; this one does not.

    Args:
        loss: Keras loss, or what names one.
        name: Name in the logs.
        dtype: As in Keras.
    """

    def __init__(self, loss, name="data_loss", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.loss = keras.losses.get(loss)
        self.total = self.add_weight(initializer="zeros", name="total")
        self.count = self.add_weight(initializer="zeros", name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds the loss of a batch, as often as it has rows."""
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        narrow = len(y_pred.shape) > 1 and y_pred.shape[-1] == 1
        if narrow and len(y_true.shape) == len(y_pred.shape) - 1:
            # `fit` does so in front of a loss; a function would take rows by rows.
            y_true = ops.expand_dims(y_true, -1)
        if isinstance(self.loss, keras.losses.Loss):
            value = self.loss(y_true, y_pred, sample_weight=sample_weight)
        else:
            value = self.loss(y_true, y_pred)
            if sample_weight is not None:
                value = value * ops.cast(sample_weight, value.dtype)
        rows = ops.cast(ops.shape(y_pred)[0], self.dtype)
        self.total.assign_add(ops.cast(ops.mean(value), self.dtype) * rows)
        self.count.assign_add(rows)

    def result(self):
        """The mean so far."""
        return ops.divide_no_nan(self.total, self.count)

    def get_config(self):
        """The loss, as Keras writes it down."""
        loss = keras.saving.serialize_keras_object(self.loss)
        return {**super().get_config(), "loss": loss}

    @classmethod
    def from_config(cls, config):
        """Makes the metric anew."""
        loss = keras.saving.deserialize_keras_object(config["loss"])
        return cls(**{**config, "loss": loss})
