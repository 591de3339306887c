import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_practices.layers.drop_connect import DropConnect
from keras_practices.layers.fractional_max_pooling import FractionalMaxPooling2D
from keras_practices.layers.predict_mc import predict_mc
from keras_practices.layers.stochastic_depth import StochasticDepth
from keras_practices.layers.stochastic_pooling import StochasticPooling2D

RNG = np.random.default_rng(0)


def linear(rate=0.4, **kwargs):
    return keras.Sequential(
        [keras.Input((6,)), layers.Dropout(rate, seed=1, **kwargs), layers.Dense(1)]
    )


def test_mean_and_deviation_are_those_of_the_distribution():
    rate, rows, samples = 0.4, 100, 60
    model = linear(rate)
    x = np.repeat(RNG.normal(size=(1, 6)), rows, axis=0)
    terms = x[0] * np.float64(model.layers[-1].kernel)[:, 0]
    mean, deviation = predict_mc(model, x, samples=samples, batch_size=rows)
    assert mean.shape == deviation.shape == (rows, 1)
    # y = sum of x w m / (1 - p), m of Bernoulli: variance (x w)² p / (1 - p).
    variance = (terms**2 * rate / (1 - rate)).sum()
    draws = rows * samples
    assert abs(mean.mean() - terms.sum()) < 5 * np.sqrt(variance / draws)
    # Fourth moment of one term is (x w)⁴ times that of (m - 1 + p) / (1 - p).
    keep = 1 - rate
    fourth = keep * (rate / keep) ** 4 + rate
    each = terms**2 * rate / keep
    fourth_sum = (terms**4 * fourth).sum() + 3 * (variance**2 - (each**2).sum())
    error = np.sqrt((fourth_sum - variance**2) / draws)
    found = (deviation.astype("float64") ** 2).mean() * samples / (samples - 1)
    assert abs(found - variance) < 5 * error


def test_figures_are_those_of_the_single_passes():
    model = linear()
    x = RNG.normal(size=(5, 6)).astype("float32")
    model.layers[0].seed_generator.state.assign([3, 0])
    passes = [ops.convert_to_numpy(model(x, training=True)) for _ in range(7)]
    model.layers[0].seed_generator.state.assign([3, 0])
    mean, deviation = predict_mc(model, x, samples=7)
    np.testing.assert_allclose(mean, np.mean(passes, axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(deviation, np.std(passes, axis=0), rtol=1e-4)
    assert mean.dtype == deviation.dtype == np.float32


def test_batch_normalisation_keeps_to_its_statistics_and_nothing_changes():
    model = keras.Sequential(
        [keras.Input((4,)), layers.BatchNormalization(), layers.Dropout(0.5, seed=2)]
    )
    normal = model.layers[0]
    normal.moving_mean.assign([1.0, 2.0, 3.0, 4.0])
    normal.moving_variance.assign([4.0] * 4)
    x = RNG.normal(size=(100, 4)).astype("float32")
    expected = model.predict(x, verbose=0)
    before = [ops.convert_to_numpy(v) for v in model.variables]
    calls = [vars(layer).get("call") for layer in model.layers]
    mean, deviation = predict_mc(model, x, samples=40, batch_size=64)
    # Each draw is 0 or twice the value, so its deviation is the value.
    bound = 5 * np.abs(expected) / np.sqrt(40)
    assert (np.abs(mean - expected) <= bound + 1e-6).all()
    after = [ops.convert_to_numpy(v) for v in model.variables]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    assert [vars(layer).get("call") for layer in model.layers] == calls
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)
    # One answer as long as nothing changes, and another one for a seed.
    again, _ = predict_mc(model, x, samples=40, batch_size=64)
    np.testing.assert_array_equal(again, mean)
    seeded = [predict_mc(model, x, 40, 64, seed=seed)[0] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(seeded[0], seeded[1])
    assert (seeded[0] != seeded[2]).any()
    assert (seeded[0] != mean).any()


def test_batches_have_draws_of_their_own_and_the_last_may_be_short():
    model = keras.Sequential([keras.Input((50,)), layers.Dropout(0.5, seed=2)])
    mean, deviation = predict_mc(model, np.ones((7, 50)), samples=1, batch_size=3)
    assert mean.shape == (7, 50)
    assert len({row.tobytes() for row in mean}) == 7
    assert not deviation.any()


def test_inputs_and_outputs_in_any_structure():
    left, right = keras.Input((3,), name="left"), keras.Input((3,), name="right")
    noisy = layers.Dropout(0.5)(left)
    outputs = {"sum": layers.Add()([noisy, right]), "right": layers.ReLU()(right)}
    x = {"left": np.ones((4, 3)), "right": np.full((4, 3), 2.0)}
    model = keras.Model({"left": left, "right": right}, outputs)
    mean, deviation = predict_mc(model, x, samples=3)
    assert set(mean) == set(deviation) == {"sum", "right"}
    np.testing.assert_array_equal(mean["right"], x["right"])
    assert not deviation["right"].any()
    model = keras.Model([left, right], list(outputs.values()))
    tensors = [ops.convert_to_tensor(np.float32(x[name])) for name in ("left", "right")]
    mean, deviation = predict_mc(model, tensors, samples=3)
    assert [y.shape for y in mean] == [y.shape for y in deviation] == [(4, 3)] * 2


def test_augmentation_stays_off():
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.RandomFlip(seed=1),
            layers.RandomBrightness(0.5, seed=1),
            layers.GaussianNoise(1e-3, seed=1),
        ]
    )
    x = RNG.uniform(0, 255, size=(8, 4, 4, 1)).astype("float32")
    mean, deviation = predict_mc(model, x, samples=5)
    np.testing.assert_allclose(mean, x, atol=0.01)
    assert 0 < deviation.max() < 0.01


def attention(x):
    return layers.MultiHeadAttention(1, 4, dropout=0.5)(x, x)


def rnn(x):
    return layers.Bidirectional(layers.GRU(3, dropout=0.5, use_cudnn=False))(x)


def stacked(x):
    cells = [layers.SimpleRNNCell(3), layers.SimpleRNNCell(3, recurrent_dropout=0.5)]
    return layers.RNN(cells)(x)


def nested(x):
    inputs = keras.Input(x.shape[1:])
    block = keras.Model(inputs, layers.SpatialDropout1D(0.5)(inputs))
    return layers.TimeDistributed(layers.Dense(2))(block(x))


def pictures(kind, size):
    return lambda x: kind(size)(layers.Reshape((6, 4, 1))(x))


NOISE = {
    "MultiHeadAttention": attention,
    "Bidirectional": rnn,
    "StackedRNNCells": stacked,
    "nested": nested,
    "Attention": lambda x: layers.Attention(dropout=0.5)([x, x]),
    "AlphaDropout": lambda x: layers.AlphaDropout(0.5)(x),
    "GaussianDropout": lambda x: layers.GaussianDropout(0.5)(x),
    "DropConnect": lambda x: DropConnect(layers.Dense(3), 0.5)(x),
    "StochasticDepth": lambda x: StochasticDepth(0.5)([x, x]),
    "StochasticPooling2D": pictures(StochasticPooling2D, 2),
    "FractionalMaxPooling2D": pictures(FractionalMaxPooling2D, 1.4),
}


@pytest.mark.parametrize("kind", NOISE)
def test_every_kind_of_noise_is_found(kind):
    inputs = keras.Input((6, 4))
    model = keras.Model(inputs, NOISE[kind](inputs))
    x = RNG.normal(size=(8, 6, 4)).astype("float32")
    before = model.predict(x, verbose=0)
    _, deviation = predict_mc(model, x, samples=4)
    assert deviation.max() > 0.01
    np.testing.assert_array_equal(model.predict(x, verbose=0), before)


class Twice(keras.Model):
    """A subclassed model, without `training`, and with noise of its own."""

    def __init__(self):
        super().__init__()
        self.first, self.second = Jitter(), layers.Dropout(0.5)

    def call(self, inputs):
        return self.second(self.first(inputs))


class Jitter(layers.Layer):
    def __init__(self):
        super().__init__()
        self.seed_generator = keras.random.SeedGenerator(1)

    def call(self, inputs, training=False):
        if not training:
            return inputs
        return inputs + keras.random.normal((1,), seed=self.seed_generator)


def test_layers_are_those_that_are_asked_for():
    model = Twice()
    x = np.ones((5, 3), "float32")
    model(x)
    mean, _ = predict_mc(model, x, samples=1)
    assert set(np.unique(mean)) <= {0.0, 2.0}
    mean, deviation = predict_mc(model, x, samples=10, layers=[model.first])
    assert (deviation == deviation[0, 0]).all()
    assert deviation[0, 0] > 0
    assert not predict_mc(model, x, layers=[])[1].any()


def test_mixed_precision_gives_float32():
    model = linear(dtype="mixed_float16")
    mean, deviation = predict_mc(model, RNG.normal(size=(3, 6)), samples=2)
    assert mean.dtype == deviation.dtype == np.float32


def test_a_pass_that_fails_leaves_the_model_as_it_was():
    model = linear()
    with pytest.raises(Exception, match=r"."):
        predict_mc(model, np.ones((3, 5)))
    x = np.ones((3, 6), "float32")
    once, again = (model.predict(x, verbose=0) for _ in range(2))
    np.testing.assert_array_equal(once, again)


@pytest.mark.parametrize(
    ("change", "error", "name"),
    [
        ({"model": "model"}, TypeError, "model"),
        ({"samples": 0}, ValueError, "samples"),
        ({"samples": 2.0}, TypeError, "samples"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"seed": 0.5}, TypeError, "seed"),
        ({"x": [1.0, 2.0]}, TypeError, "x"),
        ({"x": iter([np.ones((2, 6))])}, TypeError, "x"),
        ({"x": np.ones((0, 6))}, ValueError, "x"),
        ({"x": [np.ones((2, 6)), np.ones((3, 6))]}, ValueError, "x"),
        ({"layers": [layers.Dropout(0.5)]}, ValueError, "layers"),
    ],
)
def test_bad_arguments_are_named(change, error, name):
    arguments = {"model": linear(), "x": np.ones((2, 6)), **change}
    with pytest.raises(error, match=f"argument `{name}`"):
        predict_mc(**arguments)


def test_models_without_noise_or_weights_are_named():
    with pytest.raises(ValueError, match="argument `model`.*layer of noise"):
        predict_mc(linear(rate=0), np.ones((2, 6)))
    with pytest.raises(RuntimeError, match="must be built"):
        predict_mc(keras.Sequential([layers.Dropout(0.5)]), np.ones((2, 6)))
    model = keras.Sequential([keras.Input((6,)), layers.Reshape((3, 2))])
    with pytest.raises(ValueError, match="argument `layers`.*`training`"):
        predict_mc(model, np.ones((2, 6)), layers=model.layers)
