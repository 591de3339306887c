import keras
import numpy as np
import pytest

from keras_practices import transfer
from keras_practices.errors import UsageError
from keras_practices.transfer.depths import cut_at
from keras_practices.transfer.depths import places_of

# Whether two inputs have one sign: no linear model of the inputs can say.
SIGNS = np.array([[1, -1, 1, -1], [1, -1, -1, 1]], "float32")


def task(rows, seed=0, inputs=8):
    """Inputs, and whether the first two have one sign, far enough from zero."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, inputs)).astype("float32")
    x[:, :2] += 0.3 * np.sign(x[:, :2])
    return x, (x[:, 0] * x[:, 1] > 0).astype("int64")


def knowing():
    """A layer whose units hold the answer: |a + b| and |a - b|, each in two halves."""
    kernel = np.zeros((8, 4), "float32")
    kernel[:2] = SIGNS
    layer = keras.layers.Dense(4, "relu", name="knowing")
    layer.build((None, 8))
    layer.set_weights([kernel, np.zeros(4, "float32")])
    return layer


def network(blind=False, head=False):
    """A network that knows the task, up to its end or up to a layer that forgets it."""
    model = keras.Sequential([keras.Input((8,)), knowing()])
    last = keras.layers.Dense(4, "relu", name="deep")
    model.add(last)
    kernel = np.eye(4, dtype="float32")
    if blind:
        kernel[:, 1:] = 0
    last.set_weights([kernel, np.full(4, 0.1, "float32")])
    if head:
        model.add(keras.layers.Dense(3, "softmax", name="old_head"))
    return model


@pytest.fixture(scope="module")
def similar():
    return transfer.plan(network(), *task(80))


def test_features_that_know_the_task_are_similar(similar):
    assert similar.similar
    assert similar.quadrant == "similar, little data"
    assert similar.cut == "deep"
    assert similar.similarity > 0.9
    by_name = {probe.name: probe for probe in similar.probes}
    assert by_name["knowing"].pretrained[0] > 0.9
    assert similar.raw[0] < 0.75
    assert similar.raw[1] < similar.raw[0] < similar.raw[2]
    assert by_name["deep"].random[0] < by_name["deep"].pretrained[0]
    assert [len(stage.rates) for stage in similar.stages] == [0]


def test_a_cut_before_the_layer_that_forgets():
    found = transfer.plan(network(blind=True), *task(80))
    assert not found.similar
    assert found.quadrant == "different, little data"
    assert found.cut == "knowing"
    assert found.groups == (("knowing",),)


@pytest.mark.once
def test_rows_decide_the_size(similar):
    x, y = task(2400)
    found = transfer.plan(network(), x, y, max_rows=60, max_places=1)
    assert found.large
    assert found.rows == 2400
    assert found.rows_per_class == 1200
    # Deeper layers learn faster, the head fastest.
    rates = found.stages[-1].rates
    assert list(rates) == sorted(rates)
    assert rates[-1] < 1
    few = transfer.plan(network(), *task(30), max_places=1)
    assert not few.large


@pytest.mark.once
def test_features_that_say_nothing_are_said_to():
    x, y = task(200)
    y = np.random.default_rng(1).permutation(y)
    found = transfer.plan(network(), x, y, max_places=1)
    assert found.large
    assert not found.similar
    assert any("clearly better" in note for note in found.notes)


def test_numbers_are_read_by_ridge_regression():
    x, _ = task(120)
    y = np.abs(x[:, 0] + x[:, 1]).astype("float64")
    found = transfer.plan(network(), x, y)
    assert found.classes is None
    assert found.outputs == 1
    assert found.probes[0].pretrained[0] == pytest.approx(1, abs=0.01)
    assert found.raw[0] < 0.3


@pytest.mark.once
def test_the_old_head_is_no_place():
    found = transfer.plan(network(head=True), *task(60))
    assert [probe.name for probe in found.probes] == ["knowing", "deep"]


def test_nothing_is_written():
    model = network()
    model.layers[0].trainable = False
    before = [w.copy() for w in model.get_weights()]
    state = np.random.get_state()[1].copy()
    transfer.plan(model, *task(60))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not model.layers[0].trainable
    assert model.layers[1].trainable
    np.testing.assert_array_equal(state, np.random.get_state()[1])


def test_budget_that_is_over_at_once_leaves_one_probe():
    found = transfer.plan(network(), *task(60), budget_seconds=1e-9)
    assert [p.pretrained is None for p in found.probes] == [True, False]
    assert found.raw is None
    assert any("left out" in note for note in found.notes)
    assert "budget" in str(found)


def test_nested_models_are_opened_and_cut():
    inner = network(blind=True)
    inputs = keras.Input((8,))
    model = keras.Model(inputs, keras.layers.Dense(2, "softmax")(inner(inputs)))
    found = transfer.plan(model, *task(80))
    assert found.cut == f"{inner.name}/knowing"


def test_a_cut_gives_what_the_layer_gives():
    inner = network()
    inputs = keras.Input((8,))
    model = keras.Model(inputs, inner(keras.layers.Rescaling(2.0)(inputs)))
    places = places_of(model, None, 8)
    x, _ = task(5)
    found = cut_at(model, [places.depths[0].trail])(x)
    kernel = inner.layers[0].get_weights()[0]
    expected = np.maximum(2 * x @ kernel, 0)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(found), expected, rtol=1e-5, atol=1e-6
    )


@pytest.mark.once
def test_no_cut_inside_a_branch():
    inputs = keras.Input((8,))
    one = keras.layers.Dense(8, name="one")(inputs)
    two = keras.layers.Dense(8, name="two")(one)
    joined = keras.layers.Add(name="joined")([one, two])
    model = keras.Model(inputs, keras.layers.Dense(8, "relu", name="last")(joined))
    names = [depth.name for depth in places_of(model, None, 8).depths]
    assert names == ["one", "joined", "last"]
    thinned = places_of(model, None, 2).depths
    assert [depth.name for depth in thinned] == ["one", "last"]
    assert [x.name for x in thinned[-1].layers] == ["two", "last"]


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first, self.twice = knowing(), keras.layers.Dense(4, name="twice")

    def call(self, x):
        return self.twice(self.twice(self.first(x)))


def test_a_subclassed_model_is_read_by_its_calls():
    model = Subclassed()
    x, y = task(60)
    model(x[:2])
    found = transfer.plan(model, x, y)
    assert [probe.name for probe in found.probes] == ["knowing"]
    assert found.unread == ("twice",)
    assert "not read: twice" in str(found)
    assert any("cannot be cut" in note for note in found.notes)


def test_images_keep_a_grid_and_notes_name_the_traps():
    layers = [
        keras.layers.Conv2D(4, 3, activation="relu"),
        keras.layers.Dropout(0.5),
        keras.layers.BatchNormalization(),
        keras.layers.Conv2D(4, 3),
    ]
    model = keras.Sequential([keras.Input((8, 8, 1)), *layers])
    x = np.random.default_rng(0).normal(size=(30, 8, 8, 1))
    found = transfer.plan(model, x, (x[:, 0, 0, 0] > 0).astype(int), max_rows=30)
    assert len(found.probes) == 2
    text = str(found)
    assert "dropout" in text
    assert "inference mode" in text


def test_table_and_chart(similar):
    rows = similar.table()
    names = ["raw inputs", "knowing", "deep (cut)", "several together"]
    assert [row["place"] for row in rows] == names
    assert [row["learns"] for row in rows] == ["", "frozen", "frozen", ""]
    (chart,) = similar.charts()
    assert [line.name for line in chart.lines] == [
        "pretrained",
        "random copy",
        "raw inputs",
    ]
    for line in chart.lines:
        assert len(line.x) == len(line.y) == len(line.low) == len(line.high) == 2


@pytest.mark.once
@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"x": np.zeros((40, 7))}, ValueError, "shapes"),
        ({"x": np.full((40, 8), np.nan)}, ValueError, "finite"),
        ({"y": np.full(40, -1)}, ValueError, "at least 0"),
        ({"y": np.array(["a"] * 40)}, TypeError, "numbers"),
        ({"y": None}, TypeError, "targets"),
        ({"y": np.zeros(40, int)}, ValueError, "two classes"),
        ({"y": np.arange(40) == 3}, ValueError, "two rows"),
        ({"y": np.zeros(39, int)}, ValueError, "40 rows"),
        ({"y": np.ones((40, 3), int)}, ValueError, "one class"),
        ({"y": np.full(40, np.nan)}, ValueError, "finite"),
        ({"task": "regression"}, ValueError, "task"),
        ({"budget_seconds": 0}, ValueError, "budget_seconds"),
        ({"max_rows": 3}, ValueError, "max_rows"),
        ({"max_places": 0}, ValueError, "max_places"),
        ({"seed": 0.5}, TypeError, "seed"),
        ({"model": "vgg"}, TypeError, "model"),
    ],
)
def test_bad_arguments_are_named(change, error, match):
    x, y = task(40)
    given = {"model": network(), "x": x, "y": y, **change}
    with pytest.raises(error, match=match):
        transfer.plan(given.pop("model"), given.pop("x"), given.pop("y"), **given)


def test_a_model_without_weights():
    with pytest.raises(UsageError, match="no weights"):
        transfer.plan(keras.Sequential([keras.layers.Dense(2)]), *task(40))
