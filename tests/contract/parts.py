"""Every public class that a model, an optimizer or a `compile` call holds.

One line a class: how it is made, what it is fed, and an argument that it must refuse.
`test_contract.py` asks the same things of each.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import keras_practices as kp
from keras_practices.data import Part

RNG = np.random.default_rng(0)
IMAGES = (8, 8, 3)
SOUND = (512,)


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer in the contract.

    Args:
        make: Makes the layer.
        shape: Shape of one row that it is fed.
        bad: Arguments that are refused, by the name of the first.
        inputs: How many inputs it takes, as a list.
        training: Whether it takes `training`.
        repeatable: Whether two inferences give the same.
    """

    make: Callable[..., Any]
    shape: tuple[int, ...]
    bad: dict[str, Any]
    inputs: int = 1
    training: bool = True
    repeatable: bool = True


def rows(shape, count=12):
    """Rows of positive numbers below 1, as pixels are."""
    return RNG.uniform(0.05, 0.95, (count, *shape)).astype("float32")


def adapted(layer, shape):
    layer.adapt(Part(rows(shape, 60), np.zeros(60), role="train"))
    return layer


def dense(**options):
    return keras.layers.Dense(5, **options)


LAYERS = {
    "InvertedDropout": Layer(
        lambda **a: kp.layers.InvertedDropout(**{"keep_prob": 0.8, **a}),
        (6,),
        {"keep_prob": 1.5},
    ),
    "VanillaDropout": Layer(
        lambda **a: kp.layers.VanillaDropout(**{"keep_prob": 0.8, **a}),
        (6,),
        {"keep_prob": 1.5},
    ),
    "MCDropout": Layer(
        lambda **a: kp.layers.MCDropout(**{"rate": 0.3, **a}),
        (6,),
        {"rate": 1.5},
        repeatable=False,
    ),
    "DropConnect": Layer(
        lambda **a: kp.layers.DropConnect(dense(), **{"rate": 0.3, **a}),
        (6,),
        {"rate": -0.1},
    ),
    "StochasticDepth": Layer(
        lambda **a: kp.layers.StochasticDepth(**{"survival_probability": 0.6, **a}),
        (6,),
        {"survival_probability": 2.0},
        inputs=2,
    ),
    "FractionalMaxPooling2D": Layer(
        lambda **a: kp.layers.FractionalMaxPooling2D(**{"pooling_ratio": 1.4, **a}),
        IMAGES,
        {"pooling_ratio": 0.5},
    ),
    "StochasticPooling2D": Layer(
        lambda **a: kp.layers.StochasticPooling2D(**a), IMAGES, {"pool_size": 0}
    ),
    "WeightNormalization": Layer(
        lambda **a: kp.layers.WeightNormalization(**{"layer": dense(), **a}),
        (6,),
        {"layer": "dense"},
        training=False,
    ),
    "Maxout": Layer(
        lambda **a: kp.layers.Maxout(**{"num_units": 3, **a}),
        (6,),
        {"num_units": 0},
        training=False,
    ),
    "Standardization": Layer(
        lambda **a: adapted(kp.data.Standardization(**a), (6,)),
        (6,),
        {},  # Keras's own
        training=False,
    ),
    "MinMaxScaling": Layer(
        lambda **a: adapted(kp.data.MinMaxScaling(**a), (6,)),
        (6,),
        {"low": "0"},
        training=False,
    ),
    "PCA": Layer(
        lambda **a: adapted(kp.data.PCA(**{"n_components": 3, **a}), (6,)),
        (6,),
        {"n_components": 0},
        training=False,
    ),
    "Whitening": Layer(
        lambda **a: adapted(kp.data.Whitening(**a), (6,)),
        (6,),
        {"epsilon": -1.0},
        training=False,
    ),
    "AddNoise": Layer(
        lambda **a: kp.augmentation.AddNoise(**a), SOUND, {"snr_db": "loud"}
    ),
    "Gain": Layer(lambda **a: kp.augmentation.Gain(**a), SOUND, {"db": "loud"}),
    "TimeShift": Layer(
        lambda **a: kp.augmentation.TimeShift(**{"share": 0.4, **a}),
        SOUND,
        {"share": -1.0},
    ),
    "TimeStretch": Layer(
        lambda **a: kp.augmentation.TimeStretch(**{"frame_length": 64, **a}),
        SOUND,
        {"rate": 0.0},
    ),
    "PitchShift": Layer(
        lambda **a: kp.augmentation.PitchShift(**{"frame_length": 64, **a}),
        SOUND,
        {"semitones": "high"},
    ),
    "SpecAugment": Layer(
        lambda **a: kp.augmentation.SpecAugment(
            **{"time_width": 4, "freq_width": 4, **a}
        ),
        (20, 16),
        {"time_masks": -1},
    ),
    "LensDistortion": Layer(
        lambda **a: kp.augmentation.LensDistortion(**a), IMAGES, {"fill_mode": "sky"}
    ),
    "ColorPCA": Layer(
        lambda **a: adapted(kp.augmentation.ColorPCA(**{"sigma": 0.5, **a}), IMAGES),
        IMAGES,
        {"sigma": -1.0},
    ),
    "SafeAugmentation": Layer(
        lambda **a: kp.augmentation.SafeAugmentation(
            **{
                "layers": [keras.layers.RandomBrightness(0.5, seed=1)],
                "value_range": (0.0, 1.0),
                **a,
            }
        ),
        IMAGES,
        {"value_range": (1.0, 0.0)},
    ),
}

METRICS = {
    "MatthewsCorrelation": (
        lambda **a: kp.metrics.MatthewsCorrelation(**{"num_classes": 3, **a}),
        {"num_classes": 1},
    ),
    "CohenKappa": (
        lambda **a: kp.metrics.CohenKappa(**{"num_classes": 3, **a}),
        {"weights": "cubic"},
    ),
    "ConfusionMatrix": (
        lambda **a: kp.metrics.ConfusionMatrix(**{"num_classes": 3, **a}),
        {"normalize": "rows"},
    ),
    "ExpectedCalibrationError": (
        lambda **a: kp.metrics.ExpectedCalibrationError(**a),
        {"bins": 0},
    ),
}

LOSSES = {
    "MulticlassHinge": (lambda **a: kp.losses.MulticlassHinge(**a), {"margin": 0.0}),
}

INITIALIZERS = {
    "SparseNormal": (lambda **a: kp.initializers.SparseNormal(**a), {"connections": 0}),
    "PriorBias": (
        lambda **a: kp.initializers.PriorBias(**{"values": [0.1, 0.2, 0.7], **a}),
        {"values": [float("nan")]},
    ),
}

CONSTRAINTS = {
    "MaxNorm": (lambda **a: kp.constraints.MaxNorm(**a), {"max_value": -1.0}),
}

SCHEDULES = {
    "OneCycle": (
        lambda **a: kp.schedules.OneCycle(
            **{"max_learning_rate": 0.1, "total_steps": 20, **a}
        ),
        {"total_steps": 0},
    ),
    "Cyclical": (
        lambda **a: kp.schedules.Cyclical(
            **{
                "initial_learning_rate": 0.01,
                "maximal_learning_rate": 0.1,
                "step_size": 4,
                **a,
            }
        ),
        {"policy": "square"},
    ),
    "Warmup": (
        lambda **a: kp.schedules.Warmup(**{"schedule": 0.1, "steps": 5, **a}),
        {"steps": -1},
    ),
    "Scaled": (
        lambda **a: kp.schedules.Scaled(
            **{"schedule": kp.schedules.Warmup(0.1, 5), "factor": 0.5, **a}
        ),
        {"factor": -1.0},
    ),
}

OPTIMIZERS = {
    "Lookahead": (
        lambda **a: kp.optimizers.Lookahead(
            **{"optimizer": keras.optimizers.SGD(0.1), "sync_period": 2, **a}
        ),
        {"slow_step_size": 2.0},
    ),
}

# Public classes that no saved model holds.
NOT_SAVED = {
    "data": {"Part", "Split", "Vault", "BalancedSampler"},
    "initializers": {"LSUV"},
}
