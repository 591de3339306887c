import dataclasses

import keras
import numpy as np
import pytest
from test_transfer_plan import network
from test_transfer_plan import task

from keras_practices import data
from keras_practices import transfer
from keras_practices.errors import UsageError
from keras_practices.transfer.data_loss import DataLoss
from keras_practices.transfer.deciding import stages_for

X, Y = task(96)
LATER = task(64, seed=1)
FIT = {"verbose": 0, "batch_size": 32}


def planned(model, large=False, epochs=2):
    """The plan of a model, told how many rows there are."""
    found = transfer.plan(model, X, Y, max_places=2)
    stages = stages_for(found.similar, large, len(found.groups))
    stages = tuple(dataclasses.replace(stage, epochs=epochs) for stage in stages)
    return dataclasses.replace(found, large=large, stages=stages)


def values(model):
    return [np.array(weight) for weight in model.get_weights()]


def test_a_head_on_frozen_features():
    model = network()
    before = values(model)
    result = transfer.fine_tune(
        model, (X, Y), plan=planned(model), head=2, validation_data=LATER, **FIT
    )
    for old, new in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(old, new)
    found = result.model.evaluate(*LATER, verbose=0, return_dict=True)
    assert found["accuracy"] > 0.95
    assert len(result.epoch) == len(result.history["loss"]) == 2
    assert result.history["stage"] == [1, 1]
    assert "stage 1" in str(result)


def test_the_head_begins_at_the_optimum_of_the_probe():
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    model = network()
    plan = planned(model, epochs=1)
    result = transfer.fine_tune(
        model, (X, Y), plan=plan, head=2, optimizer=keras.optimizers.SGD(1e-9), **FIT
    )
    features = StandardScaler().fit_transform(
        keras.ops.convert_to_numpy(model(X)).astype("float64")
    )
    probe = LogisticRegression(C=plan.strength, max_iter=1000, tol=1e-8)
    expected = probe.fit(features, Y).predict_proba(features)
    np.testing.assert_allclose(
        result.model.predict(X, verbose=0), expected, rtol=1e-2, atol=5e-3
    )
    # The penalty in the loss is the probe's: there is no slope at its optimum.
    penalty = (probe.coef_**2).sum() / 4 / plan.strength / len(X)
    found = result.history["regularization_loss"][0]
    # Two columns of half the size hold half of the squares.
    assert found == pytest.approx(penalty, rel=0.05)


@pytest.fixture(scope="module")
def unfrozen():
    """A network with BatchNorm, trained through all stages."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.BatchNormalization(name="norm"), keras.layers.ReLU()]
    model = keras.Sequential([keras.Input((8,)), *network().layers, *layers])
    before = values(model)
    plan = planned(model, large=True)
    result = transfer.fine_tune(
        model, (X, Y), plan=plan, head=2, validation_data=LATER, **FIT
    )
    return model, before, result


def test_stages_join_into_one_history(unfrozen):
    _, _, result = unfrozen
    history = result.history
    assert history["stage"] == [1, 1, 2, 2, 3, 3]
    assert result.epoch == list(range(6))
    assert [stage["epochs"] for stage in result.stages] == [2, 2, 2]
    for prefix in ("", "val_"):
        parts = np.add(
            history[f"{prefix}data_loss"], history[f"{prefix}regularization_loss"]
        )
        np.testing.assert_allclose(parts, history[f"{prefix}loss"], rtol=1e-5)
    assert min(history["regularization_loss"]) > 0


def test_batch_norm_stays_in_inference(unfrozen):
    model, before, result = unfrozen
    norm = model.get_layer("norm")
    start = len(before) - 4
    for old, new in zip(before[start:], norm.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not norm.trainable
    assert model.layers[0].trainable
    assert any(
        not np.array_equal(old, new)
        for old, new in zip(before[:start], values(model)[:start], strict=True)
    ) == any(stage["best_epoch"] is not None for stage in result.stages[1:])


def test_slots_go_from_stage_to_stage(unfrozen):
    _, _, result = unfrozen
    inside = result.model.optimizer.optimizers
    # Three batches an epoch, two epochs a stage: the whole, the upper half, the head.
    assert [int(one.iterations) for one in inside] == [6, 12, 18]
    assert int(result.model.optimizer.iterations) == 18


def test_the_result_is_saved_and_goes_on(unfrozen, tmp_path):
    _, _, result = unfrozen
    result.model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        again.predict(X, verbose=0), result.model.predict(X, verbose=0), rtol=1e-5
    )
    assert "data_loss" not in again.evaluate(X, Y, verbose=0, return_dict=True)
    again.fit(X, Y, verbose=0)


def test_callbacks_see_the_whole_model(tmp_path):
    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            shapes.append(self.model.input_shape)
            seen.append(epoch)

    shapes, seen = [], []
    model = network()
    stop = keras.callbacks.EarlyStopping("loss", min_delta=10.0, patience=1)
    save = keras.callbacks.ModelCheckpoint(tmp_path / "at.keras")
    result = transfer.fine_tune(
        model,
        (X, Y),
        plan=planned(model, epochs=5),
        head=2,
        callbacks=[Watch(), stop, save],
        **FIT,
    )
    assert seen == [0, 1]
    assert shapes == [(None, 8)] * 2
    assert result.stages[0]["epochs"] == 2
    loaded = keras.models.load_model(tmp_path / "at.keras")
    np.testing.assert_allclose(
        loaded.predict(X, verbose=0), result.model.predict(X, verbose=0), rtol=1e-4
    )


def test_a_stage_that_makes_it_worse_is_taken_back():
    model = network()
    result = transfer.fine_tune(
        model,
        (X, Y),
        plan=planned(model),
        head=2,
        optimizer=keras.optimizers.SGD(-3.0),  # uphill: worse for sure
        validation_data=LATER,
        **FIT,
    )
    assert result.stages[0]["best_epoch"] is None
    found = result.model.evaluate(*LATER, verbose=0, return_dict=True)
    assert found["loss"] < min(result.history["val_loss"])


def test_own_head_dropout_and_a_dataset():
    head = keras.layers.Dense(2, "softmax", name="own")
    model = keras.Sequential(
        [*network().layers, keras.layers.Dropout(0.1), head], name="owner"
    )
    model.build((None, 8))

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, place):
            part = slice(32 * place, 32 * place + 32)
            return X[part], keras.utils.to_categorical(Y[part], 2)

    before = values(model)
    result = transfer.fine_tune(
        model, Batches(), validation_data=Batches(), epochs=1, verbose=0
    )
    assert result.model is model
    assert result.plan.classes == 2
    assert set(result.history) >= {"accuracy", "val_data_loss", "stage"}
    changed = [
        not np.array_equal(old, new)
        for old, new in zip(before, values(model), strict=True)
    ]
    assert changed[-2:] == [True, True] or result.stages[0]["best_epoch"] is None


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first = network().layers[0]

    def call(self, x):
        return self.first(x)


def test_a_subclassed_model_and_numbers():
    model = Subclassed()
    model(X[:2])
    y = np.abs(X[:, 0] + X[:, 1])
    part = data.Part(X, y, role="train")
    result = transfer.fine_tune(model, part, head=1, epochs=1, **FIT)
    found = result.model.predict(X, verbose=0)[:, 0]
    assert np.corrcoef(found, y)[0, 1] > 0.99
    assert "accuracy" not in result.history


def test_flags_come_back_after_an_error():
    class Fails(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    model = network()
    model.layers[0].trainable = False
    with pytest.raises(KeyboardInterrupt):
        transfer.fine_tune(
            model, (X, Y), plan=planned(model), head=2, callbacks=[Fails()], **FIT
        )
    assert [layer.trainable for layer in model.layers] == [False, True]


def test_mixed_float16():
    layers = network().layers
    dense = [x for x in layers if isinstance(x, keras.layers.Dense)]
    half = keras.DTypePolicy("mixed_float16")
    fresh = [type(x).from_config({**x.get_config(), "dtype": half.name}) for x in dense]
    model = keras.Sequential([keras.Input((8,)), *fresh])
    for mine, known in zip(fresh, dense, strict=True):
        mine.set_weights(known.get_weights())
    keras.config.set_dtype_policy(half)
    plan = planned(model, large=True, epochs=1)
    head = keras.layers.Dense(2, activation="softmax", dtype="float32")
    result = transfer.fine_tune(
        model, (X, Y), plan=plan, head=head, validation_data=LATER, **FIT
    )
    assert len(result.stages) > 1
    for weight in result.model.weights:
        assert weight.dtype == "float32"
        assert np.isfinite(keras.ops.convert_to_numpy(weight)).all()
    assert np.isfinite(result.history["data_loss"]).all()
    assert isinstance(result.model.optimizer, keras.optimizers.LossScaleOptimizer)


@pytest.mark.once
@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"train": (X[:, :5], Y)}, ValueError, "shapes"),
        ({"train": (X, Y[:-1])}, ValueError, "96 rows"),
        ({"train": X}, TypeError, "targets"),
        ({"train": (X, Y + 1)}, ValueError, "head"),
        ({"head": 1.5}, TypeError, "head"),
        ({"head": None}, ValueError, "head=2"),
        ({"validation_data": (X, Y + 5)}, ValueError, "validation_data"),
        ({"validation_data": (X[:, :5], Y)}, ValueError, "shapes"),
        ({"loss": "categorical_crossentropy"}, ValueError, "loss"),
        ({"validation_split": 0.2}, ValueError, "validation_split"),
        ({"initial_epoch": 3}, ValueError, "initial_epoch"),
        ({"epochs": [1, 2, 3]}, ValueError, "epochs"),
        ({"epochs": 0}, ValueError, "epochs"),
        ({"patience": 0}, ValueError, "patience"),
        ({"plan": "plan"}, TypeError, "plan"),
        (
            {"callbacks": [keras.callbacks.ReduceLROnPlateau()]},
            ValueError,
            "learning rate",
        ),
    ],
)
def test_bad_arguments_before_any_training(change, error, match, small_plan):
    model, plan = small_plan
    before = values(model)
    given = {"train": (X, Y), "head": 2, "plan": plan, **FIT, **change}
    with pytest.raises(error, match=match):
        transfer.fine_tune(model, given.pop("train"), **given)
    for old, new in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.fixture(scope="module")
def small_plan():
    model = network()
    return model, planned(model)


def test_a_plan_of_another_model_or_checkpoint(small_plan):
    _, plan = small_plan
    other = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3, "relu")])
    with pytest.raises(UsageError, match="another model"):
        transfer.fine_tune(other, (X, Y), plan=plan, head=2)
    moved = network()
    moved.set_weights([weight + 1 for weight in moved.get_weights()])
    with pytest.raises(UsageError, match="other weights"):
        transfer.fine_tune(moved, (X, Y), plan=plan, head=2)
    same = network()
    transfer.fine_tune(same, (X, Y), plan=plan, head=2, epochs=1, **FIT)


def test_global_clipping_is_refused_before_training(small_plan):
    model, _ = small_plan
    plan = planned(model, large=True)
    clipped = keras.optimizers.Adam(0.1, global_clipnorm=1.0)
    before = values(model)
    with pytest.raises(ValueError, match="global_clipnorm"):
        transfer.fine_tune(model, (X, Y), plan=plan, head=2, optimizer=clipped)
    for old, new in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_data_loss_weighs_as_keras_does():
    metric = DataLoss("sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), 12).astype("float32")
    y, weights = rng.integers(0, 3, 12), rng.uniform(0.1, 2, 12)
    each = -np.log(probabilities[np.arange(12), y])
    metric.update_state(y[:8], probabilities[:8], sample_weight=weights[:8])
    metric.update_state(y[8:], probabilities[8:], sample_weight=weights[8:])
    expected = (each * weights).mean()
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)
    again = keras.metrics.deserialize(keras.metrics.serialize(metric))
    again.update_state(y, probabilities)
    assert float(again.result()) == pytest.approx(each.mean(), rel=1e-5)


def test_data_loss_of_one_number_a_row():
    metric = DataLoss(lambda y, p: keras.ops.mean(keras.ops.square(y - p), axis=-1))
    y, predicted = np.arange(4.0), np.ones((4, 1))
    metric.update_state(y, predicted)
    assert float(metric.result()) == pytest.approx(np.mean((y - 1) ** 2))
