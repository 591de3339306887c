"""Series made fit to draw."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_practices.record import Record
from keras_practices.report.plots import series

pytestmark = pytest.mark.once


@settings(max_examples=40, derandomize=True, deadline=None)
@given(seed=st.integers(0, 1000), size=st.integers(0, 5000), limit=st.integers(4, 2000))
@pytest.mark.parametrize("shorten", [series.thin, series.sample])
def test_shortening_keeps_extremes_ends_and_order(shorten, seed, size, limit):
    y = np.random.default_rng(seed).standard_cauchy(size)
    x = np.arange(size, dtype=float)
    short_x, short_y = shorten(x, y, max(limit, 16))
    assert len(short_x) == len(short_y) == len(set(short_x)) <= max(limit, 16)
    if size:
        assert short_y.min() == y.min()
        assert short_y.max() == y.max()
        assert (short_x[0], short_x[-1]) == (x[0], x[-1])
    assert (np.diff(short_x) > 0).all()
    assert (y[short_x.astype(int)] == short_y).all()


def test_a_short_series_is_left_alone():
    x = np.arange(2000.0)
    np.testing.assert_array_equal(series.thin(x, x), (x, x))


def test_running_median_ignores_single_spikes():
    x = np.arange(1000.0)
    y = np.where(x % 50 == 7, 1e9, 1.0)
    places, middle = series.running_median(x, y)
    assert (middle == 1.0).all()
    assert len(places) == 400
    assert (places[0], places[-1]) == (0.0, 999.0)


def test_running_median_equals_the_definition():
    y = np.random.default_rng(1).normal(size=300)
    places, middle = series.running_median(np.arange(300.0), y)
    for place, value in zip(places.astype(int), middle, strict=True):
        window = [v for at, v in enumerate(y) if abs(at - place) <= 6]
        assert value == np.median(window)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 2.0], None),
        ([1.0, "nan", "inf"], (1.0, 2, True)),
        ([1.0, "nan", 3.0], (1.0, 1, False)),
        (["inf"], (0.0, 1, True)),
        ([], None),
    ],
)
def test_find_broken(values, expected):
    y = series.numbers(values)
    broken = series.find_broken(np.arange(len(y), dtype=float), y)
    if expected is None:
        assert broken is None
    else:
        assert (broken.place, broken.times, broken.for_good) == expected


def test_epoch_curve_leaves_out_what_was_not_measured():
    record = Record()
    record.add("epoch", epoch=1, logs={"val_loss": 0.5})
    record.add("epoch", epoch=2, logs={})
    record.add("epoch", epoch=3, logs={"val_loss": None})
    record.add("epoch", epoch=4, logs={"val_loss": float("nan")})
    epochs, values = series.epoch_curve(record, "logs", "val_loss")
    np.testing.assert_array_equal(epochs, [1, 4])
    np.testing.assert_array_equal(values, [0.5, np.nan])


def test_pick_prefers_what_findings_name():
    names = [f"model/conv_{place}/kernel" for place in range(200)]
    picked = series.pick(names, 8, ["conv_17", "model/conv_150/kernel", "", "inputs"])
    assert len(picked) == 8
    assert {names[0], names[17], names[150], names[199]} <= set(picked)
    assert picked == sorted(picked, key=names.index)
    assert names[170] not in picked  # "conv_17" is no part of the path of conv_170


def test_pick_keeps_an_overview_when_findings_name_everything():
    names = [f"dense_{place}" for place in range(50)]
    picked = series.pick(names, 8, names)
    assert len(picked) == 8
    assert names[-1] in picked


def test_pick_of_few_takes_all():
    assert series.pick(["a", "b"], 8, ["b"]) == ["a", "b"]
