"""What layers share that take their scale from the training part, once."""

import keras
import numpy as np

from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.data.part import Part
from keras_practices.errors import UsageError

_ADVICE = 'Pass split.train, or Part(x, y, role="train") of data that was split before.'


class TrainingNormalization(keras.layers.Normalization):
    """`keras.layers.Normalization` that cannot learn from the wrong data."""

    def adapt(self, part):
        """Learns location and scale of the training part.

        Args:
            part: `Part` of role `"train"` whose `x` is one array.
        """
        x = self._checked(part)
        super().adapt(x)  # makes the variables; the figures are ours
        kept = {axis % x.ndim for axis in self.axis}
        reduced = tuple(axis for axis in range(x.ndim) if axis not in kept)
        location, scale = self._location_and_scale(x, reduced)
        self.adapt_mean.assign(location)
        self.adapt_variance.assign(np.square(scale))
        # Keras keeps `count` for old files and saves it with the statistics.
        self.count.assign(len(x))
        self.finalize_state()

    def _location_and_scale(self, x, reduced):
        """Returns what is subtracted and what it is divided by, in float64."""
        raise NotImplementedError

    def _checked(self, part):
        if not isinstance(part, Part):
            kind = type(part).__name__
            raise type_error(self, "part", "a training Part", kind, _ADVICE)
        if part.role != "train":
            raise value_error(self, "part", "of role 'train'", part, _ADVICE)
        if self.input_mean is not None or (
            self.built and keras.ops.convert_to_numpy(self.count) > 0
        ):
            raise UsageError(
                f"{type(self).__name__}: it has its statistics already; a second adapt "
                "would replace them without a word. Make a new layer for other data."
            )
        x = part.x
        if not isinstance(x, np.ndarray) or x.dtype.kind not in "fiub":
            kind = getattr(x, "dtype", type(x).__name__)
            advice = "Give every input of a dict or list its own layer."
            raise type_error(self, "part", "with one array of numbers", kind, advice)
        x = x.astype("float64")
        if not np.isfinite(x).all():
            count = int((~np.isfinite(x)).sum())
            advice = (
                f"{count} of {x.size} values are NaN or infinite: repair them first."
            )
            raise value_error(self, "part", "with finite values", part, advice)
        return x
