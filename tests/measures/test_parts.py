import keras
import numpy as np
import pytest
from keras import initializers
from keras import layers

from keras_practices.measures.initial_weights import measure_frozen
from keras_practices.measures.initial_weights import measure_initial_weights
from keras_practices.measures.parts import measure_parts
from keras_practices.measures.parts import measure_settings


def compiled(*stack, optimizer="adam", metrics=None, shape=(16,)):
    model = keras.Sequential([keras.Input(shape), *stack])
    model.compile(optimizer, "mse", metrics=metrics)
    return model


def test_parts_of_a_model():
    inner = keras.Sequential(
        [
            keras.Input((5, 4)),
            layers.LSTM(3, dropout=0.2, recurrent_dropout=0.1, name="lstm"),
            layers.BatchNormalization(momentum=0.8, name="bn"),
        ]
    )
    start = keras.Input((5, 4))
    h = layers.SpatialDropout1D(0.3, name="drop")(start)
    h = layers.Dense(2, bias_regularizer="l2", name="head")(inner(h))
    model = keras.Model(start, h)
    model.compile("sgd", "mse", metrics=["accuracy", keras.metrics.R2Score()])
    found = measure_parts(model)["parts"]
    rates = {(one["argument"], one["rate"]) for one in found["dropout"]}
    assert rates == {("rate", 0.3), ("dropout", 0.2), ("recurrent_dropout", 0.1)}
    bn = {"layer": "bn", "momentum": 0.8, "trainable": True}
    assert found["batchnorm"] == [bn]
    (path,) = found["regularized_biases"]
    assert path.endswith("head/bias")
    assert found["metrics"] == ["accuracy", "R2Score"]
    assert found["optimizer"]["class"] == "SGD"
    assert found["frozen"]["layers"] == []


def test_metrics_of_functions_and_of_several_outputs():
    def own(y_true, y_pred):
        return y_pred

    start = keras.Input((2,))
    outputs = {"a": layers.Dense(1)(start), "b": layers.Dense(1)(start)}
    model = keras.Model(start, outputs)
    metrics = {"a": ["mae"], "b": ["accuracy"]}
    model.compile("sgd", {"a": "mse", "b": "mse"}, metrics=metrics)
    assert measure_parts(model)["parts"]["metrics"] == ["mae", "accuracy"]
    names = measure_parts(compiled(layers.Dense(1), metrics=[own]))["parts"]["metrics"]
    assert names is None or "accuracy" not in names


def test_settings_of_optimizers():
    adam = keras.optimizers.Adam(0.02, epsilon=1e-16, clipnorm=0.5)
    found = measure_settings(adam)
    assert found["class"] == "Adam"
    assert found["learning_rate"] == pytest.approx(0.02)
    assert found["scheduled"] is False
    assert (found["epsilon"], found["clipnorm"], found["beta_2"]) == (1e-16, 0.5, 0.999)
    assert "weight_decay" not in found
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(-0.5))
    assert measure_settings(scaled)["learning_rate"] == -0.5
    assert measure_settings(None) is None

    class Own(keras.optimizers.SGD):
        pass

    assert measure_settings(Own(0.1))["class"] == "SGD"


def test_a_schedule_that_warms_up_is_read_at_its_height():
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, 1000, warmup_target=0.3, warmup_steps=10
    )
    found = measure_settings(keras.optimizers.SGD(schedule))
    assert found["scheduled"] is True
    assert found["learning_rate"] == pytest.approx(0.3, rel=1e-3)


def test_layers_that_augment():
    model = compiled(
        layers.RandomFlip(name="flip"),
        layers.GaussianNoise(0.1, name="noise"),
        layers.Dropout(0.5),
        layers.Flatten(),
        layers.Dense(2),
        shape=(8, 8, 1),
    )
    assert measure_parts(model)["parts"]["augmentation"] == ["flip", "noise"]


def test_weights_of_one_sign():
    def one_sided(kernel, **options):
        model = compiled(layers.Dense(6, name="a", **options))
        model.get_layer("a").set_weights([kernel, np.full(6, -3.0)])
        found = measure_initial_weights(model)["initial_weights"]["a"]
        assert found["bias_mean"] == -3.0
        return found["one_sided"]

    above = np.random.default_rng(0).uniform(0.1, 1, (16, 6))
    assert one_sided(above) is True
    assert one_sided(-above) is True
    assert one_sided(above - 0.2) is False
    assert one_sided(np.ones((16, 6))) is False  # of one value: another rule's
    assert one_sided(above, kernel_constraint="non_neg") is False


def test_gain_of_weights_written_by_hand():
    model = compiled(layers.Dense(4, name="a"), layers.Dense(2, name="b"))
    kernel = np.where(np.arange(64).reshape(16, 4) % 2, 0.5, -0.5).astype("float32")
    model.get_layer("a").set_weights([kernel, np.full(4, -3.0, "float32")])
    found = measure_initial_weights(model)["initial_weights"]["a"]
    assert found["rms"] == 0.5
    assert found["fan_in"] == 16
    assert found["gain"] == 0.5 * 4
    # Glorot's deviation √(2 / (16 + 4)) times √16, above LeCun's 1.
    assert found["calibrated"] == 1.0
    assert (found["bias"], found["fresh"], found["trainable"]) == (3.0, True, True)
    second = measure_initial_weights(model)["initial_weights"]["b"]
    assert second["calibrated"] == 1.0
    model.get_layer("a").set_weights([kernel, np.array([0, 0, 0, 1], "float32")])
    assert measure_initial_weights(model)["initial_weights"]["a"]["fresh"] is False
    model.get_layer("a").set_weights([np.ones_like(kernel), np.zeros(4, "float32")])
    assert measure_initial_weights(model)["initial_weights"]["a"]["fresh"] is False


def test_gain_of_draws():
    he = layers.Conv2D(32, 3, kernel_initializer=initializers.HeNormal(1), name="he")
    glorot = layers.Conv2D(
        64, 3, kernel_initializer=initializers.GlorotUniform(2), name="glorot"
    )
    wide = layers.Dense(
        50, kernel_initializer=initializers.RandomNormal(0, 0.25, 3), name="wide"
    )
    stack = (he, glorot, layers.Flatten(), wide)
    found = measure_initial_weights(compiled(*stack, shape=(8, 8, 16)))
    found = found["initial_weights"]
    assert found["he"]["gain"] == pytest.approx(np.sqrt(2), rel=0.05)
    # fan_in 9 · 32, fan_out 9 · 64
    wanted = np.sqrt(2 * 9 * 32 / (9 * 32 + 9 * 64))
    assert found["glorot"]["calibrated"] == pytest.approx(wanted)
    assert found["glorot"]["gain"] == pytest.approx(wanted, rel=0.05)
    assert found["wide"]["gain"] == pytest.approx(0.25 * np.sqrt(1024), rel=0.05)


DRAWS = [
    initializers.GlorotUniform(1),
    initializers.HeNormal(2),
    initializers.LecunUniform(3),
    initializers.RandomNormal(0.0, 0.05, 4),
    initializers.RandomUniform(-0.1, 0.3, 5),
    initializers.TruncatedNormal(0.0, 0.2, 6),
]


@pytest.mark.parametrize("draw", DRAWS, ids=lambda one: type(one).__name__)
def test_frozen_layers_with_their_first_weights(draw):
    frozen = layers.Dense(32, kernel_initializer=draw, trainable=False, name="frozen")
    model = compiled(frozen, layers.Dense(2))
    found = measure_frozen(model)
    assert (found["layers"], found["fresh"]) == (["frozen"], ["frozen"])
    kernel, bias = frozen.get_weights()
    frozen.set_weights([kernel * 1.5, bias])
    assert measure_frozen(model)["fresh"] == []
    frozen.set_weights([kernel, bias + 0.01])
    assert measure_frozen(model)["fresh"] == []


def test_frozen_layers_that_are_meant_to_be():
    frozen = layers.Dense(32, trainable=False)
    behind = compiled(layers.Dense(16), frozen)
    assert measure_frozen(behind)["fresh"] == []
    bn = layers.BatchNormalization()
    model = compiled(layers.Dense(32, trainable=False, name="f"), bn, layers.Dense(2))
    assert measure_frozen(model)["fresh"] == ["f"]
    gamma, beta, mean, variance = bn.get_weights()
    bn.set_weights([gamma, beta, mean + 0.5, variance])
    assert measure_frozen(model)["fresh"] == []

    class Own(keras.Model):
        def train_step(self, *args):
            return {}

    start = keras.Input((16,))
    h = layers.Dense(32, trainable=False)(start)
    assert measure_frozen(Own(start, layers.Dense(2)(h)))["fresh"] == []


def test_a_model_without_anything_to_train():
    model = compiled(layers.Dense(3))
    assert measure_frozen(model)["trainable"] == 16 * 3 + 3
    model.trainable = False
    found = measure_frozen(model)
    assert (found["parameters"], found["trainable"]) == (16 * 3 + 3, 0)


def test_the_momentum_of_averaged_weights_is_read_where_fit_leaves_them():
    averaged = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9)
    assert measure_settings(averaged)["ema_momentum"] == 0.9
    assert "ema_momentum" not in measure_settings(keras.optimizers.SGD(0.1))
    often = keras.optimizers.SGD(0.1, use_ema=True, ema_overwrite_frequency=5)
    assert "ema_momentum" not in measure_settings(often)
