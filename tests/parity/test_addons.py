"""Our counterparts beside figures of TensorFlow Addons 0.23 (`make parity`)."""

import keras
import numpy as np
import pytest
from addons_figures import FIGURES
from addons_figures import RATE
from addons_figures import array
from addons_figures import close
from addons_figures import numbers
from keras import ops

import keras_practices as kp


def test_the_figures_say_what_made_them():
    assert FIGURES["made with"]["addons"].startswith("0.23")


def test_weight_normalization_forward_backward_and_ten_steps():
    known = FIGURES["WeightNormalization"]
    x, y = array(known["x"]), array(known["y"])
    layer = kp.layers.WeightNormalization(keras.layers.Dense(3))
    model = keras.Sequential([keras.Input((4,)), layer])
    ours = {
        "kernel": layer.layer.kernel,
        "bias": layer.layer.bias,
        "g": next(v for v in layer.trainable_variables if v.name == "g"),
    }
    places = {}
    for place, name in enumerate(known["names"]):
        short = name.split("/")[-1].split(":")[0]
        key = "kernel" if short in ("kernel", "v") else short
        ours[key].assign(array(known["weights"][place]))
        places[key] = place
    close(model(x), known["outputs"])
    optimizer = keras.optimizers.SGD(RATE)
    before = {key: numbers(variable).copy() for key, variable in ours.items()}
    model.compile(optimizer, "mse")
    model.train_on_batch(x, y)
    for key, place in places.items():
        step = (before[key] - numbers(ours[key])) / RATE
        close(step, known["gradients"][place], rtol=2e-4, atol=2e-6)
    for _ in range(9):
        model.train_on_batch(x, y)
    for key, place in places.items():
        close(ours[key], known["after"][place], rtol=2e-4, atol=2e-5)


def test_weight_normalization_started_by_data_is_that_of_the_paper():
    known = FIGURES["WeightNormalization by data"]
    kernel, x = array(known["kernel"]), array(known["x"])
    layer = kp.layers.WeightNormalization(keras.layers.Dense(3))
    model = keras.Sequential([keras.Input((4,)), layer])
    layer.layer.kernel.assign(kernel)
    kp.layers.initialize_weight_normalization(model, x)
    outputs = numbers(model(x))
    np.testing.assert_allclose(outputs.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(outputs.std(axis=0), 1, rtol=1e-4)
    # Addons forgets the norm of the kernel: its outputs are smaller by just that.
    theirs = array(known["outputs"]).std(axis=0) * np.linalg.norm(kernel, axis=0)
    np.testing.assert_allclose(theirs, 1, rtol=1e-4)


def test_maxout():
    known = FIGURES["Maxout"]
    close(kp.layers.Maxout(known["num_units"])(array(known["x"])), known["outputs"])


def test_stochastic_depth_has_the_same_expectation():
    known = FIGURES["StochasticDepth"]
    shortcut, residual = array(known["shortcut"]), array(known["residual"])
    share = known["survival_probability"]
    # Addons scales in inference what we scale in training: the means agree up to it.
    close(array(known["inference"]), shortcut + share * residual)
    layer = kp.layers.StochasticDepth(share, seed=0)
    many = [np.repeat(part, 4000, axis=0) for part in (shortcut, residual)]
    drawn = numbers(layer(many, training=True)).reshape(6, 4000, 4).mean(axis=1)
    error = 5 * np.abs(residual) * np.sqrt((1 - share) / share / 4000)
    assert (np.abs(drawn - (shortcut + residual)) <= error + 1e-6).all()
    close(layer([shortcut, residual]), shortcut + residual)


def walked(optimizer, known):
    """The weights after each gradient of the record."""
    variable = keras.Variable(array(known["start"]))
    optimizer.build([variable])
    path = []
    for gradient in known["gradients"]:
        optimizer.apply([ops.convert_to_tensor(array(gradient))], [variable])
        path.append(numbers(variable).copy())
    return np.array(path)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_ten_steps_of_lookahead(name):
    inner = {
        "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
        "adam": lambda: keras.optimizers.Adam(0.05),
    }[name]()
    known = FIGURES["Lookahead"][name]
    optimizer = kp.optimizers.Lookahead(inner, sync_period=3, slow_step_size=0.5)
    close(walked(optimizer, known), known["path"], rtol=1e-4, atol=1e-5)


def test_the_average_of_swa():
    known = FIGURES["SWA"]
    head = keras.layers.Dense(1, use_bias=False)
    model = keras.Sequential([keras.Input((3,)), head])
    head.kernel.assign(array(known["start"])[:, None])
    # Under a loss that is the output, a row of inputs is the gradient.
    model.compile(keras.optimizers.SGD(RATE), lambda y, p: ops.mean(p))
    # Addons counts the steps before a snapshot: 3, 5, 7 and 9 are in the average.
    swa = kp.callbacks.SWA(start_epoch=2, every=2)
    one_step = {"steps_per_epoch": 1, "shuffle": False, "verbose": 0}
    rows = ((row[None], np.zeros((1, 1))) for row in array(known["gradients"]))
    model.fit(rows, epochs=10, callbacks=[swa], **one_step)
    assert swa.count == 4
    close(numbers(head.kernel)[:, 0], known["average"])


@pytest.mark.parametrize("policy", ["triangular", "triangular2", "exponential"])
def test_cyclical_rates(policy):
    known = FIGURES["Cyclical"][policy]
    schedule = kp.schedules.Cyclical(0.01, 0.1, policy=policy, **known["arguments"])
    close([float(schedule(step)) for step in range(32)], known["rates"])


@pytest.mark.parametrize("weights", [None, "linear", "quadratic"])
def test_cohen_kappa(weights):
    same_results(kp.metrics.CohenKappa(4, weights=weights), f"kappa {weights}")


def test_matthews_correlation():
    same_results(kp.metrics.MatthewsCorrelation(4), "matthews")


def same_results(metric, name):
    known = FIGURES["metrics"][name]
    y, scores = array(known["y"]), array(known["scores"])
    found = []
    for begin in range(0, len(y), 10):
        metric.update_state(y[begin : begin + 10], scores[begin : begin + 10])
        found.append(float(metric.result()))
    np.testing.assert_allclose(found, known["results"], rtol=1e-5, atol=1e-6)
