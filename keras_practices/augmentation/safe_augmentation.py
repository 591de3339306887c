"""Keras's image augmentation without its two silent traps."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_practices._core.registration import register
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.augmentation.training_images import checked_value_range
from keras_practices.augmentation.training_images import infer_value_range
from keras_practices.augmentation.training_images import refuse_misfit
from keras_practices.augmentation.training_images import training_images
from keras_practices.errors import UsageError

_MIXING = (keras.layers.MixUp, keras.layers.CutMix)
_SCALING = (keras.layers.Rescaling, keras.layers.Normalization)


@register
class SafeAugmentation(keras.layers.Layer):
    """Runs Keras's `Random*` layers while training only, in the range of the images.

    Called without `training`, those layers augment: `validation_data.map(layer)`
    changes what the model is judged by. And they take images to be in [0, 255]: on
    images in [0, 1] `RandomBrightness` gives values up to 39. Here nothing happens
    unless `training` is true, and every layer, also one inside another as in
    `RandAugment`, is told the range that `adapt` found in the training images.

    Place it in the model, before what scales or standardises; call `adapt` before
    `fit`. The found range stands in the configuration, so a model file holds it.

    Args:
        layers: Keras's augmentation layers, in order. They are copied; a `value_range`
            of their own is replaced. Each must keep the shape of its images. `MixUp`
            and `CutMix` are refused, because they must change the labels too and a
            layer of a model cannot; so are layers that change the range.
        value_range: `"auto"`, found by `adapt`, or the pair (low, high) that values
            lie in; `adapt` then tests that it fits.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Images, `(batch, height, width, channels)`. Labels stay outside.
        training: Bool. Images are changed only when true.

    Returns:
        Float tensor of the shape of `inputs`.

    Raises:
        TypeError, ValueError: bad arguments; in `adapt`, something else than training
            images, values of no usual range, or a range that does not fit; a layer
            that changes the shape.
        RuntimeError: training with `"auto"` and without `adapt`.

    Example:

    >>> images = np.random.default_rng(0).uniform(size=(8, 4, 4, 3))
    >>> augmentation = SafeAugmentation([keras.layers.RandomBrightness(0.5, seed=1)])
    >>> augmentation.adapt(images)
    >>> augmentation.value_range
    (0.0, 1.0)
    >>> float(keras.ops.max(augmentation(images, training=True))) <= 1.0
    True

    References:
        CS231n, "Data augmentation"; documentation of `keras.layers.RandomBrightness`,
        argument `value_range`.
    """

    def __init__(
        self,
        layers: Sequence[Any],
        value_range: str | tuple[float, float] = "auto",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.value_range = checked_value_range(self, value_range, "auto")
        self.layers = [
            type(layer).from_config(layer.get_config())
            for layer in (self._checked(layers))
        ]
        self._hand_on_the_range()

    def _checked(self, layers):
        expected = "a list of Keras's augmentation layers"
        if not isinstance(layers, list | tuple) or not layers:
            raise type_error(self, "layers", expected, layers)
        for layer in layers:
            if not isinstance(layer, keras.layers.Layer):
                raise type_error(self, "layers", expected, layer)
            if isinstance(layer, _MIXING):
                advice = (
                    "It mixes labels too: map it over batches of images and labels."
                )
                raise value_error(self, "layers", expected, layer, advice)
            if isinstance(layer, _SCALING):
                advice = "It changes the range: place it after the augmentation."
                raise value_error(self, "layers", expected, layer, advice)
        return layers

    def adapt(self, data: Any) -> None:
        """Finds the range of the training images, or tests the one that was named.

        Args:
            data: Training `Part` or array, `(rows, height, width, channels)`.

        Raises:
            TypeError, ValueError: no training images; no usual range; no fit.
        """
        images = training_images(self, "data", data)
        if self.value_range == "auto":
            self.value_range = infer_value_range(self, images)
            self._hand_on_the_range()
        else:
            refuse_misfit(self, images, self.value_range)

    def _hand_on_the_range(self):
        if self.value_range == "auto":
            return
        # In place, because a layer that is built takes no new layers; the attribute
        # is read anew by every trace.
        for layer in _with_inner_layers(self.layers):
            if hasattr(layer, "value_range"):
                layer.value_range = self.value_range

    def build(self, input_shape):
        """Checks that the images come out in the shape that they went in."""
        expected = "images of shape (batch, height, width, channels)"
        if len(input_shape) != 4:
            raise value_error(self, "inputs", expected, tuple(input_shape))
        for layer in self.layers:
            shape = tuple(layer.compute_output_shape(input_shape))
            if shape != tuple(input_shape):
                advice = f"Place {type(layer).__name__} in front of the augmentation."
                expected = f"layers that keep the shape {tuple(input_shape)}"
                raise value_error(self, "layers", expected, shape, advice)

    def call(self, inputs, training=False):
        """Returns `inputs`, augmented if `training` is true."""
        x = ops.cast(inputs, self.compute_dtype)
        if not training:
            return x
        if self.value_range == "auto":
            raise UsageError(
                "SafeAugmentation: it does not know the range of the images. Call "
                "adapt(split.train) before fit, or name value_range."
            )
        for layer in self.layers:
            x = layer(x, training=True)
        return ops.cast(x, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """Returns the shape of the inputs."""
        return input_shape

    def get_config(self):
        """Returns the arguments, with the range that `adapt` found."""
        layers = [keras.saving.serialize_keras_object(layer) for layer in self.layers]
        for layer in layers:
            # The shape that a layer has met is no part of what the user asked for.
            layer.pop("build_config", None)
        return {
            **super().get_config(),
            "layers": layers,
            "value_range": self.value_range,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "SafeAugmentation":
        """Builds the layer from what `get_config` returned."""
        layers = [
            keras.saving.deserialize_keras_object(layer) for layer in config["layers"]
        ]
        return cls(**{**config, "layers": layers})


def _with_inner_layers(found):
    """Yields the layers in a list or dict, and all that they hold as attributes."""
    if isinstance(found, keras.layers.Layer):
        yield found
        # Keras keeps a second list of the same layers.
        items = [item for name, item in vars(found).items() if name != "_layers"]
    elif isinstance(found, dict):
        items = list(found.values())
    else:
        items = list(found) if isinstance(found, list | tuple) else []
    for item in items:
        yield from _with_inner_layers(item)
