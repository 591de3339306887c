"""A head that reads several places, where no single one has all that it needs."""

import keras
import numpy as np
import pytest

from keras_practices import transfer
from keras_practices.transfer.depths import joinable
from keras_practices.transfer.depths import places_of
from keras_practices.transfer.measuring import Measured
from keras_practices.transfer.probes import Reading
from keras_practices.transfer.targets import read_targets

SIGNS = np.array([[1, -1, 1, -1], [1, -1, -1, 1]], "float32")


def task(rows, seed):
    """Inputs, and two questions in one class: whether a, b and c, d have one sign."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4)).astype("float32")
    x += 0.3 * np.sign(x)
    return x, (x[:, 0] * x[:, 1] > 0) + 2 * (x[:, 2] * x[:, 3] > 0)


def network():
    """Its first layer knows of a and b, its second one of c and d only."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, "relu", name="first"),
            keras.layers.Dense(4, "relu", name="second"),
        ]
    )
    first, second = np.zeros((4, 8), "float32"), np.zeros((8, 4), "float32")
    first[:2, :4] = SIGNS
    first[2, 4:6] = first[3, 6:] = [1, -1]
    # relu(c) - relu(-c) is c.
    second[4:] = np.stack([SIGNS[0], -SIGNS[0], SIGNS[1], -SIGNS[1]])
    model.set_weights([first, np.zeros(8), second, np.zeros(4)])
    return model


def nested():
    """The network inside another one, with a layer in front of it."""
    inputs = keras.Input((4,))
    return keras.Model(inputs, network()(keras.layers.Rescaling(1.0)(inputs)))


@pytest.mark.parametrize("build", [network, nested])
def test_a_head_reads_both(build, tmp_path):
    model = build()
    train, later = task(200, 1), task(500, 2)
    plan = transfer.plan(model, *train)
    assert [name.split("/")[-1] for name in plan.joins] == ["first", "second"]
    assert plan.joined[0] > 0.9 > 0.7 > max(p.pretrained[0] for p in plan.probes)
    assert "several together" in str(plan)
    result = transfer.fine_tune(
        model, train, validation_data=later, plan=plan, head=4, epochs=2, verbose=0
    )
    given = result.model.predict(later[0], verbose=0)
    assert (given.argmax(axis=-1) == later[1]).mean() > 0.9
    result.model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(later[0], verbose=0), given, rtol=1e-5)


def test_a_head_of_ones_own_stands_behind_the_cut():
    model = network()
    plan = transfer.plan(model, *task(200, 1))
    assert plan.joins
    head = keras.layers.Dense(4, "softmax")
    result = transfer.fine_tune(
        model, task(200, 1), plan=plan, head=head, epochs=1, verbose=0
    )
    assert head.kernel.shape[0] == model.get_layer(plan.cut).units
    assert result.model.output_shape == (None, 4)


def test_places_behind_a_model_are_not_read_with_those_in_it():
    inner = network()
    layers = [keras.Input((4,)), inner, keras.layers.Dense(3, "relu")]
    places = places_of(keras.Sequential(layers), None, 8)
    assert len(places.depths) == 3
    assert joinable(places.depths) == [0, 1]


def reading(wrong):
    """A probe of 100 rows that gets those from some number on wrong."""
    return Reading((np.arange(100) < 100 - wrong).astype("float64"), 1.0, 0.1)


@pytest.mark.parametrize(
    # Of 100 rows, n more errors are n / sqrt(n - n² / 100) standard errors more.
    ("more", "with_little", "with_much"),
    [(0, True, True), (2, False, True), (5, False, False)],
)
def test_one_place_alone_has_to_be_better(more, with_little, with_much):
    model, (x, y) = network(), task(100, 1)
    depths = places_of(model, None, 8).depths
    measured = Measured(model, depths, x, read_targets("plan", y, "classes"), 0)
    measured.pretrained = {0: reading(10), 1: reading(5)}
    measured.joined = reading(5 + more)
    assert bool(measured.joins(large=False)) is with_little
    assert bool(measured.joins(large=True)) is with_much
