import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_practices.schedules import Cyclical
from keras_practices.schedules import OneCycle
from keras_practices.schedules import Scaled
from keras_practices.schedules import Warmup

DECAY = keras.optimizers.schedules.ExponentialDecay


def rates(schedule, steps):
    return np.array(
        [float(keras.ops.convert_to_numpy(schedule(step))) for step in steps]
    )


def one_cycle_by_hand(step, highest, total, share=0.3, start=25.0, end=1e4, linear=0):
    """The two phases of the paper as PyTorch counts them, in float64."""
    first, peak = highest / start, share * total - 1
    phases = [(0, peak, first, highest), (peak, total - 1, highest, first / end)]
    begin, stop, low, high = phases[0] if step <= peak else phases[1]
    place = (min(step, total - 1) - begin) / (stop - begin)
    if linear:
        return low + (high - low) * place
    return high + (low - high) / 2 * (1 + np.cos(np.pi * place))


def cyclical_by_hand(step, low, high, size, policy, gamma):
    """As in TensorFlow Addons, with its own two scale modes."""
    cycle = np.floor(1 + step / (2 * size))
    x = np.abs(step / size - 2 * cycle + 1)
    scale = {
        "triangular": 1.0,
        "triangular2": 1 / 2.0 ** (cycle - 1),
        "exponential": gamma**step,
    }[policy]
    return low + (high - low) * max(0, 1 - x) * scale


@pytest.mark.parametrize("anneal", ["cosine", "linear"])
@pytest.mark.parametrize("total", [10, 97])
def test_one_cycle_equals_the_paper(total, anneal):
    schedule = OneCycle(0.4, total, anneal=anneal)
    steps = range(total + 5)
    linear = anneal == "linear"
    expected = [one_cycle_by_hand(s, 0.4, total, linear=linear) for s in steps]
    np.testing.assert_allclose(rates(schedule, steps), expected, rtol=1e-4, atol=1e-7)


def test_one_cycle_of_other_shape():
    schedule = OneCycle(2.0, 50, 0.5, 10.0, 100.0)
    expected = [one_cycle_by_hand(s, 2.0, 50, 0.5, 10.0, 100.0) for s in range(50)]
    np.testing.assert_allclose(rates(schedule, range(50)), expected, rtol=1e-4)
    assert float(schedule(24)) == pytest.approx(2.0)
    assert float(schedule(49)) == pytest.approx(0.002, rel=1e-4)


def test_one_cycle_of_two_steps_is_finite():
    found = rates(OneCycle(1.0, 2), range(4))
    assert np.isfinite(found).all()
    assert found[1] < found[0]


@pytest.mark.parametrize("policy", ["triangular", "triangular2", "exponential"])
def test_cyclical_equals_addons(policy):
    schedule = Cyclical(0.01, 0.3, 7, policy, gamma=0.99)
    expected = [cyclical_by_hand(s, 0.01, 0.3, 7, policy, 0.99) for s in range(60)]
    np.testing.assert_allclose(rates(schedule, range(60)), expected, rtol=1e-5)


def test_cyclical_is_exact_after_many_steps():
    schedule = Cyclical(0.0, 1.0, 100_000)
    late = 2**24 + 1
    expected = cyclical_by_hand(late, 0.0, 1.0, 100_000, "triangular", 1)
    assert float(schedule(late)) == pytest.approx(expected, rel=1e-6)


@given(step=st.integers(0, 10**6))
def test_cyclical_stays_between_its_rates(step):
    rate = float(Cyclical(0.1, 0.9, 50)(step))
    assert 0.1 - 1e-6 <= rate <= 0.9 + 1e-6


def test_warmup_then_schedule():
    decay = DECAY(0.8, 10, 0.5)
    expected = [0.8 * (s + 1) / 5 for s in range(5)]
    expected += [0.8 * 0.5 ** (s / 10) for s in range(15)]
    found = rates(Warmup(decay, 5), range(20))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_warmup_of_a_number_and_of_no_length():
    np.testing.assert_allclose(rates(Warmup(2, 4), range(6)), [0.5, 1, 1.5, 2, 2, 2])
    np.testing.assert_allclose(rates(Warmup(0.1, 0), range(3)), 0.1, rtol=1e-6)


CASES = {
    "one_cycle": OneCycle(0.2, 6, 0.5),
    "cyclical": Cyclical(0.01, 0.2, 2, "triangular2"),
    "warmup": Warmup(Scaled(DECAY(0.2, 2, 0.5), 0.9), 3),
}


def again(schedule, **changes):
    return type(schedule).from_config({**schedule.get_config(), **changes})


def trained(optimizer, batches, **arguments):
    """The sum of the rates that SGD used: each gradient is exactly -1."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.set_weights([np.zeros((1, 1)), np.zeros(1)])
    model.layers[0].bias.trainable = False
    model.compile(optimizer, lambda y, p: -p[:, 0], **arguments)
    x = np.ones((batches, 1))
    model.fit(x, x, batch_size=1, shuffle=False, verbose=0)
    return float(model.get_weights()[0][0, 0])


@pytest.mark.parametrize("name", CASES)
def test_sgd_uses_the_rates(name):
    jit_compile = keras.backend.backend() != "torch"
    optimizer = keras.optimizers.SGD(CASES[name])
    found = trained(optimizer, 6, jit_compile=jit_compile)
    assert found == pytest.approx(rates(CASES[name], range(6)).sum(), rel=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_accumulated_batches_count_as_one_update(name):
    schedule = again(CASES[name], accumulation_steps=3)
    optimizer = keras.optimizers.SGD(schedule, gradient_accumulation_steps=3)
    found = trained(optimizer, 18)
    assert found == pytest.approx(rates(CASES[name], range(6)).sum(), rel=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_comes_back_from_disk(name, tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(CASES[name]), "mse")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    optimizer = loaded.optimizer
    config = keras.optimizers.serialize(optimizer)["config"]["learning_rate"]
    schedule = keras.optimizers.schedules.deserialize(config)
    assert type(schedule) is type(CASES[name])
    assert schedule.get_config() == CASES[name].get_config()
    np.testing.assert_allclose(
        rates(schedule, range(8)), rates(CASES[name], range(8)), rtol=1e-6
    )


def test_a_tensor_as_step():
    step = keras.ops.convert_to_tensor(3)
    assert float(CASES["cyclical"](step)) == float(CASES["cyclical"](3))


def test_scaled():
    schedule = Scaled(OneCycle(0.4, 10, accumulation_steps=2), 0.5)
    expected = [0.5 * one_cycle_by_hand(s // 2, 0.4, 10) for s in range(20)]
    np.testing.assert_allclose(rates(schedule, range(20)), expected, rtol=1e-4)
    assert schedule.accumulation_steps == 2


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: OneCycle(0.0, 10), ValueError, "max_learning_rate"),
        (lambda: OneCycle(0.1, 1), ValueError, "total_steps"),
        (lambda: OneCycle(0.1, 10.0), TypeError, "total_steps"),
        (lambda: OneCycle(0.1, 10, 1.0), ValueError, "warmup_share"),
        (lambda: OneCycle(0.1, 10, start_divisor=0), ValueError, "start_divisor"),
        (lambda: OneCycle(0.1, 10, end_divisor=0), ValueError, "end_divisor"),
        (lambda: OneCycle(0.1, 10, anneal="step"), ValueError, "anneal"),
        (lambda: Cyclical(-0.1, 1.0, 5), ValueError, "initial_learning_rate"),
        (lambda: Cyclical(0.2, 0.1, 5), ValueError, "maximal_learning_rate"),
        (lambda: Cyclical(0.1, 0.2, 0), ValueError, "step_size"),
        (lambda: Cyclical(0.1, 0.2, 5, "saw"), ValueError, "policy"),
        (lambda: Cyclical(0.1, 0.2, 5, gamma=0), ValueError, "gamma"),
        (lambda: Scaled(0.1, 0.5), TypeError, "schedule"),
        (lambda: Scaled(DECAY(0.2, 2, 0.5), -1), ValueError, "factor"),
        (lambda: Warmup("fast", 5), TypeError, "schedule"),
        (lambda: Warmup(-1.0, 5), ValueError, "schedule"),
        (lambda: Warmup(0.1, -1), ValueError, "steps"),
        (lambda: Warmup(0.1, 5, 0), ValueError, "accumulation_steps"),
        (
            lambda: Warmup(Cyclical(0.1, 0.2, 5, accumulation_steps=2), 5, 2),
            ValueError,
            "accumulation_steps",
        ),
    ],
)
def test_bad_arguments_are_named(make, error, text):
    with pytest.raises(error, match=text):
        make()
