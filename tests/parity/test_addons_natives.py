"""What Keras has of TensorFlow Addons 0.23, beside its figures (`make parity`).

Nothing here is ours but what the page on migration promises: each line of it gives the
same numbers, with the factors that it names.
"""

import keras
import numpy as np
import pytest
from addons_figures import FIGURES
from addons_figures import RATE
from addons_figures import array
from addons_figures import close
from addons_figures import numbers
from keras import layers
from keras import ops

import keras_practices as kp
from keras_practices._core import backend as door
from keras_practices.layers.fractional_max_pooling import pool_stretches


def attention():
    inputs = keras.Input((5, 4))
    outputs = layers.MultiHeadAttention(2, 3, use_bias=False)(inputs, inputs)
    return keras.Model(inputs, outputs)


def residual():
    inputs = keras.Input((4,))
    kept = kp.layers.StochasticDepth(1.0)([inputs, layers.Dense(4)(inputs)])
    return keras.Model(inputs, kept)


def of(shape, *parts):
    return lambda: keras.Sequential([keras.Input(shape), *parts])


LAYERS = {
    "WeightNormalization of Conv2D": of(
        (5, 5, 2), kp.layers.WeightNormalization(layers.Conv2D(3, 2))
    ),
    "Maxout after Dense": of((4,), layers.Dense(6), kp.layers.Maxout(2)),
    "StochasticDepth, all kept": residual,
    "InstanceNormalization": of((5, 5, 2), layers.GroupNormalization(groups=-1)),
    "GroupNormalization": of((3, 4), layers.GroupNormalization(groups=2)),
    "MultiHeadAttention": attention,
}


def short(name):
    """The name that a weight has in both: `query_kernel`, `g`, `bias`."""
    parts = name.split(":")[0].split("/")
    role = {"attention_output": "projection"}.get(parts[-2], parts[-2])
    if role in ("query", "key", "value", "projection"):
        return f"{role}_{parts[-1]}"
    return {"v": "kernel"}.get(parts[-1], parts[-1])


def turned(name, value):
    """A weight of theirs in the order of ours, and the other way round."""
    heads_first = name in ("query_kernel", "key_kernel", "value_kernel")
    return np.swapaxes(value, 0, 1) if heads_first else value


@pytest.mark.parametrize("name", LAYERS)
def test_layers_forward_backward_and_ten_steps(name):
    known, model = FIGURES["layers"][name], LAYERS[name]()
    x, y = array(known["x"]), array(known["y"])
    ours = {short(v.path): v for v in model.trainable_variables}
    names = [short(f"layer/{theirs}") for theirs in known["names"]]
    assert sorted(names) == sorted(ours)
    before = {}
    for short_name, value in zip(names, known["weights"], strict=True):
        before[short_name] = turned(short_name, array(value))
        ours[short_name].assign(before[short_name])
    close(model(x), known["outputs"], rtol=1e-4, atol=1e-5)
    model.compile(keras.optimizers.SGD(RATE), "mse")
    model.train_on_batch(x, y)
    for short_name, gradient in zip(names, known["gradients"], strict=True):
        step = (before[short_name] - numbers(ours[short_name])) / RATE
        # A difference of weights of about 1, divided by the rate.
        close(turned(short_name, step), gradient, rtol=1e-3, atol=2e-5)
    for _ in range(9):
        model.train_on_batch(x, y)
    for short_name, after in zip(names, known["after"], strict=True):
        found = turned(short_name, numbers(ours[short_name]))
        close(found, after, rtol=1e-3, atol=1e-4)


def focal(shares):
    loss = keras.losses.BinaryFocalCrossentropy(
        apply_class_balancing=True, reduction=None
    )
    y = array(FIGURES["functions"]["SigmoidFocalCrossEntropy"]["y"])
    # Addons adds up over the last axis, Keras takes the mean.
    return y.shape[-1] * loss(ops.convert_to_tensor(y), shares)


def sparsemax(x):
    """The lines of the page on migration: the threshold is the largest of its kind."""
    sums = ops.cumsum(-ops.sort(-x, axis=-1), axis=-1)
    counts = ops.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    return ops.relu(x - ops.max((sums - 1) / counts, axis=-1, keepdims=True))


FUNCTIONS = {
    # Addons' default is the approximation, Keras's is not.
    "GELU": lambda x: keras.activations.gelu(x, approximate=True),
    "Sparsemax": sparsemax,
    "AdaptiveAveragePooling2D": lambda x: layers.AdaptiveAveragePooling2D((2, 3))(x),
    "AdaptiveMaxPooling2D": lambda x: layers.AdaptiveMaxPooling2D((2, 3))(x),
    "SigmoidFocalCrossEntropy": focal,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_forward_and_backward(name):
    known = FIGURES["functions"][name]
    outputs = array(known["outputs"])
    pull = np.arange(1, 1 + outputs.size).reshape(outputs.shape) / 10

    def total(values):
        found = FUNCTIONS[name](values[0])
        return ops.sum(found * ops.convert_to_tensor(array(pull))), found

    x = ops.convert_to_tensor(array(known["x"]))
    (_, found), (gradient,) = door.value_and_gradients(total, [x])
    close(found, outputs, rtol=1e-4)
    close(gradient, known["gradient"], rtol=1e-3, atol=1e-5)


def test_the_sparsemax_of_keras_is_still_another_one():
    """Once it is right (its rows add up to 1), the page needs its own no longer."""
    x = array(FIGURES["functions"]["Sparsemax"]["x"])
    rows = numbers(keras.activations.sparsemax(ops.convert_to_tensor(x))).sum(axis=1)
    kept = (array(FIGURES["functions"]["Sparsemax"]["outputs"]) > 0).sum(axis=1)
    assert (kept > 1).any()
    assert (rows[kept > 1] < 0.9).all()
    np.testing.assert_allclose(
        numbers(sparsemax(ops.convert_to_tensor(x))).sum(axis=1), 1, rtol=1e-5
    )


def test_spectral_normalization_in_three_training_passes():
    known = FIGURES["SpectralNormalization"]
    layer = layers.SpectralNormalization(layers.Dense(3, use_bias=False))
    x = array(known["x"])
    layer.build(x.shape)
    layer.layer.kernel.assign(array(known["kernel"]))
    layer.vector_u.assign(array(known["u"]))
    for outputs in known["outputs"]:
        close(layer(x, training=True), outputs, rtol=1e-4)
    close(layer.layer.kernel, known["kernel after"], rtol=1e-4)
    close(layer.vector_u, known["u after"], rtol=1e-4)


def walked(optimizer, known):
    """The weights after each gradient of the record."""
    variable = keras.Variable(array(known["start"]))
    optimizer.build([variable])
    path = []
    for gradient in known["gradients"]:
        optimizer.apply([ops.convert_to_tensor(array(gradient))], [variable])
        path.append(numbers(variable).copy())
    return np.array(path)


OPTIMIZERS = {
    # Addons takes d w away, Keras rate d w: its decay is theirs by the rate.
    "AdamW": lambda: keras.optimizers.AdamW(0.05, weight_decay=0.01 / 0.05),
    "SGDW": lambda: keras.optimizers.SGD(0.1, 0.9, weight_decay=0.01 / 0.1),
    "LAMB": lambda: keras.optimizers.Lamb(0.05, epsilon=1e-6),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_ten_steps_of_optimizers(name):
    known = FIGURES["optimizers"][name]
    close(walked(OPTIMIZERS[name](), known), known["path"], rtol=1e-3, atol=2e-5)


def test_the_moving_average_but_for_its_start():
    known, share = FIGURES["optimizers"]["MovingAverage"], 0.9
    optimizer = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=share)
    path = walked(optimizer, known)
    close(path, known["path"], rtol=1e-4, atol=1e-5)
    # Addons begins its average with the first weights, Keras with those after a step.
    gap = share ** len(path) * (path[0] - array(known["start"]))
    found = numbers(optimizer._model_variables_moving_average[0])
    close(found - gap, known["average"], rtol=1e-4, atol=1e-5)


def test_rates_by_layer():
    known = FIGURES["MultiOptimizer"]
    dense = [layers.Dense(n, use_bias=False) for n in (3, 2)]
    model = keras.Sequential([keras.Input((4,)), *dense])
    model.set_weights([array(w) for w in known["weights"]])
    inner = keras.optimizers.SGD(RATE, momentum=0.9)
    model.compile(kp.optimizers.layer_groups(model, inner, decay=0.2), "mse")
    for _ in range(10):
        model.train_on_batch(array(known["x"]), array(known["y"]))
    for found, expected in zip(model.get_weights(), known["after"], strict=True):
        close(found, expected, rtol=1e-3, atol=1e-4)


def test_confusion_of_each_class():
    known = FIGURES["more metrics"]
    metric = kp.metrics.ConfusionMatrix(4)
    metric.update_state(array(known["y"]), array(known["scores"]))
    counts = metric.counts()
    hits = np.diag(counts)
    misses, alarms = counts.sum(axis=1) - hits, counts.sum(axis=0) - hits
    rest = counts.sum() - hits - misses - alarms
    found = np.stack([rest, alarms, misses, hits], axis=1).reshape(4, 2, 2)
    np.testing.assert_array_equal(found, known["confusion"])


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("f1", lambda: keras.metrics.F1Score()),
        ("f1 macro", lambda: keras.metrics.F1Score("macro")),
        ("f half", lambda: keras.metrics.FBetaScore("micro", beta=0.5)),
    ],
)
def test_scores_of_precision_and_recall(name, make):
    known, metric = FIGURES["more metrics"], make()
    metric.update_state(array(known["y"]), array(known["scores"]))
    close(metric.result(), known[name])


def test_the_coefficient_of_determination():
    known, metric = FIGURES["more metrics"]["r2"], keras.metrics.R2Score()
    metric.update_state(array(known["y"]), array(known["scores"]))
    close(metric.result(), known["result"], rtol=1e-4)


def test_images():
    known = FIGURES["images"]
    x = array(known["x"])
    moved = ops.image.affine_transform(x, array(known["places"]))
    close(moved, known["transform"], rtol=1e-4, atol=1e-5)
    # Without it Keras 3.15 takes channels for rows on JAX and PyTorch.
    last = {"data_format": "channels_last"}
    blurred = numbers(ops.image.gaussian_blur(x, (3, 3), (0.8, 0.8), **last))
    # Addons mirrors at the edge, where Keras pads with zeros.
    inner = (slice(None), slice(1, -1), slice(1, -1))
    close(blurred[inner], array(known["gaussian_filter2d"])[inner], rtol=1e-4)


@pytest.mark.parametrize("place", range(4))
def test_fractional_pooling_for_the_cuts_of_tensorflow(place):
    known = FIGURES["fractional_max_pool"]
    case, found = known["cases"][place], ops.convert_to_tensor(array(known["x"]))
    for axis, name in ((1, "rows"), (2, "columns")):
        cuts = ops.convert_to_tensor(np.int32(case[name]))
        found = pool_stretches(found, cuts, axis, case["overlapping"])
    np.testing.assert_array_equal(numbers(found), array(case["outputs"]))
