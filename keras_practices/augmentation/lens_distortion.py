"""The bend of a lens."""

from typing import Any

from keras import ops

from keras_practices._core.registration import register
from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_number
from keras_practices.augmentation.random_layer import RandomLayer
from keras_practices.augmentation.random_layer import checked_range


@register
class LensDistortion(RandomLayer):
    """Bends each image as a lens would, by a radial distortion of its own.

    The pixel at distance `r` from the centre, 1 in the corners, shows what was at
    `r * (1 + k1 * r**2)`: the first term of Brown's model. A positive `k1` presses the
    edges inwards (barrel), a negative one pulls them out (pincushion). Bilinear.
    Masks and boxes are not bent along. Outside training nothing happens.

    Args:
        k1: Pair (low, high), or one number for always the same; above -1/3, where the
            image would begin to fold over itself.
        fill_mode: `"nearest"`: pixels from outside the image repeat its edge;
            `"constant"`: they are `fill_value`.
        fill_value: Float.
        seed: Integer or None. Same seed, same bends.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Images, `(batch, height, width, channels)`.
        training: Bool. Images are bent only when true.

    Returns:
        Float tensor of the shape of `inputs`.

    Raises:
        TypeError, ValueError: bad arguments; inputs of another rank.

    Example:

    >>> image = np.zeros((1, 5, 5, 1))
    >>> image[0, 2, 2] = 1.0
    >>> float(LensDistortion(k1=0.5)(image, training=True)[0, 2, 2, 0])
    1.0

    References:
        Brown, "Decentering distortion of lenses", 1966, Photogrammetric Engineering
        32.
    """

    _expected = "images of shape (batch, height, width, channels)"
    _ranks = (4,)

    def __init__(
        self,
        k1: float | tuple[float, float] = (-0.2, 0.2),
        fill_mode: str = "nearest",
        fill_value: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        self.k1 = checked_range(self, "k1", k1, low=-1 / 3, closed="neither")
        modes = ("nearest", "constant")
        self.fill_mode = check_choice(self, "fill_mode", fill_mode, modes)
        self.fill_value = check_number(self, "fill_value", fill_value)

    def _augment(self, x):
        _, height, width, _ = ops.shape(x)
        down, below = _from_centre(height, x.dtype)
        across, right = _from_centre(width, x.dtype)
        down = ops.reshape(down, (1, -1, 1, 1))
        across = ops.reshape(across, (1, 1, -1, 1))
        # A picture of one pixel has no corner to measure by.
        corner = ops.maximum(ops.square(below) + ops.square(right), 0.25)
        radius = (ops.square(down) + ops.square(across)) / corner
        stretch = 1.0 + self._draw(x, *self.k1) * radius
        return self._bilinear(x, below + down * stretch, right + across * stretch)

    def _bilinear(self, x, row, column):
        """Returns `x` at places `(batch, height, width, 1)`.

        `keras.ops.image.map_coordinates` would need the images one behind the other
        as an array, and cannot take a batch of unknown size on TensorFlow (3.15).
        """
        _, height, width, channels = ops.shape(x)
        pixels = ops.reshape(x, (-1, height * width, channels))
        total = 0.0
        for down in (0.0, 1.0):
            for across in (0.0, 1.0):
                y, x_ = ops.floor(row) + down, ops.floor(column) + across
                weight = (1.0 - ops.abs(row - y)) * (1.0 - ops.abs(column - x_))
                inside_y, inside_x = _inside(y, height), _inside(x_, width)
                index = ops.cast(inside_y, "int32") * width + ops.cast(
                    inside_x, "int32"
                )
                index = ops.reshape(index, (-1, height * width, 1))
                index = ops.broadcast_to(index, ops.shape(pixels))
                found = ops.take_along_axis(pixels, index, axis=1)
                found = ops.reshape(found, ops.shape(x))
                if self.fill_mode == "constant":
                    known = ops.logical_and(y == inside_y, x_ == inside_x)
                    found = ops.where(known, found, ops.cast(self.fill_value, x.dtype))
                total = total + weight * found
        return total

    def get_config(self):
        """Returns the arguments."""
        return {
            **super().get_config(),
            "k1": self.k1,
            "fill_mode": self.fill_mode,
            "fill_value": self.fill_value,
        }


def _from_centre(length, dtype):
    """Returns the distance of each pixel from the centre, and where that is."""
    centre = (ops.cast(length, dtype) - 1.0) / 2.0
    return ops.cast(ops.arange(length, dtype="int32"), dtype) - centre, centre


def _inside(place, length):
    """Returns the places, those outside moved to the edge."""
    return ops.clip(place, 0.0, ops.cast(length, place.dtype) - 1.0)
