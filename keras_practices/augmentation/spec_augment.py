"""Masked bands of spectrograms."""

from typing import Any

from keras import ops

from keras_practices._core.registration import register
from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices.augmentation.random_layer import RandomLayer


@register
class SpecAugment(RandomLayer):
    """Blanks bands of time and bands of frequency, other ones in each spectrogram.

    Each mask has a width drawn evenly from 0 to its limit, and a place drawn evenly
    from all that it fits into; masks may overlap. The paper's mask never reaches the
    last step; here every step can be masked. The paper's third part, time warping, is
    left out: it found it the least useful and the dearest. Outside training nothing
    happens.

    Args:
        time_masks: Integer of at least 0. Masks over time, m_T of the paper.
        freq_masks: Integer of at least 0. Masks over frequency, m_F.
        time_width: Integer of at least 0. Most steps that one mask covers, T.
        freq_width: Integer of at least 0. Most bands that one mask covers, F. The
            defaults are the paper's policy LD, for 80 bands.
        time_share: Float in [0, 1]. No mask over time is wider than this share of all
            steps, p.
        mask_value: Float. What stands in the masks. 0 is the mean where the
            spectrograms were standardised, as the paper's were; where they were not,
            give their mean.
        time_axis: 1 for `(batch, time, frequency)`, 2 for `(batch, frequency, time)`
            as `keras.layers.MelSpectrogram` returns it.
        seed: Integer or None. Same seed, same masks.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Spectrograms of rank 3, or of rank 4 with channels last: all channels
            of a spectrogram get the same masks.
        training: Bool. Masks are set only when true.

    Returns:
        Float tensor of the shape of `inputs`.

    Raises:
        TypeError, ValueError: a number out of range; inputs of another rank.

    Example:

    >>> layer = SpecAugment(time_width=20, freq_width=8, seed=1)
    >>> masked = layer(np.ones((2, 100, 40)), training=True)
    >>> sorted(set(keras.ops.convert_to_numpy(masked).ravel().tolist()))
    [0.0, 1.0]

    References:
        Park et al., "SpecAugment: a simple data augmentation method for automatic
        speech recognition", 2019, Interspeech.
    """

    _expected = (
        "spectrograms of shape (batch, time, frequency), (batch, frequency, time) or "
        "one of these with channels last"
    )
    _ranks = (3, 4)

    def __init__(
        self,
        time_masks: int = 2,
        freq_masks: int = 2,
        time_width: int = 100,
        freq_width: int = 27,
        time_share: float = 1.0,
        mask_value: float = 0.0,
        time_axis: int = 1,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        self.time_masks = check_integer(self, "time_masks", time_masks, low=0)
        self.freq_masks = check_integer(self, "freq_masks", freq_masks, low=0)
        self.time_width = check_integer(self, "time_width", time_width, low=0)
        self.freq_width = check_integer(self, "freq_width", freq_width, low=0)
        self.time_share = check_number(self, "time_share", time_share, low=0, high=1)
        self.mask_value = check_number(self, "mask_value", mask_value)
        self.time_axis = check_choice(self, "time_axis", time_axis, (1, 2))
        self.supports_masking = True

    def _augment(self, x):
        freq_axis = 3 - self.time_axis
        masks = [
            self._band(x, self.time_axis, self.time_width, self.time_share)
            for _ in range(self.time_masks)
        ]
        masks += [
            self._band(x, freq_axis, self.freq_width, 1.0)
            for _ in range(self.freq_masks)
        ]
        for mask in masks:
            x = ops.where(mask, ops.cast(self.mask_value, x.dtype), x)
        return x

    def _band(self, x, axis, width, share):
        """Returns bools, true inside one band of `axis` of each spectrogram."""
        length = ops.shape(x)[axis]
        widest = ops.cast(ops.floor(ops.cast(length, x.dtype) * share), "int32")
        width = self._draw_integer(x, ops.minimum(widest, width))
        start = self._draw_integer(x, length - width)
        shape = [1] * len(x.shape)
        shape[axis] = -1
        place = ops.reshape(ops.arange(length, dtype="int32"), shape)
        return ops.logical_and(place >= start, place < start + width)

    def get_config(self):
        """Returns the arguments."""
        return {
            **super().get_config(),
            "time_masks": self.time_masks,
            "freq_masks": self.freq_masks,
            "time_width": self.time_width,
            "freq_width": self.freq_width,
            "time_share": self.time_share,
            "mask_value": self.mask_value,
            "time_axis": self.time_axis,
        }
