import keras_tuner
import numpy as np
import pytest

from keras_practices.measures.search.units import axes_of
from keras_practices.measures.search.units import axis_for
from keras_practices.measures.search.units import places_of

pytestmark = pytest.mark.once


def axis(**fields):
    (one,) = axes_of([{"name": "a", "kind": "float", **fields}])
    return one


@pytest.mark.parametrize("scale", ["linear", "log", "reverse_log"])
@pytest.mark.parametrize("kind", ["Float", "Int"])
def test_places_are_those_of_keras_tuner(scale, kind):
    space = keras_tuner.HyperParameters()
    getattr(space, kind)("a", min_value=2, max_value=200, sampling=scale)
    one = axis(kind=kind.lower(), low=2, high=200, scale=scale)
    (parameter,) = space.space
    for share in (0.0, 0.1, 0.5, 0.9):
        value = parameter._sample_numerical_value(share)
        assert one.place(value) == pytest.approx(share, abs=1e-9)
        assert one.value(share) == pytest.approx(value)


def test_values_beyond_the_range_follow_its_scale():
    one = axis(low=1e-4, high=1e-1, scale="log")
    assert one.value(4 / 3) == pytest.approx(1.0)
    assert one.value(-1 / 3) == pytest.approx(1e-5)
    assert axis(low=1.0, high=3.0).value(1.5) == pytest.approx(4.0)
    # What a trial has stays inside.
    assert one.place(1.0) == 1.0


def test_a_step_makes_options():
    one = axis(low=0.0, high=0.3, step=0.1)
    assert len(one.options) == 4
    assert one.place(0.30000000000000004) == 0.875
    assert axis(kind="int", low=8, high=64, step=2, scale="log").options == (
        8,
        16,
        32,
        64,
    )
    assert axis(low=1.0, high=8.0, step=2.0, scale="reverse_log").options[0] == 1.0


def test_kinds_of_things_and_what_is_fixed():
    kinds = {"name": "k", "kind": "choice", "values": ["x", "y"]}
    sizes = {"name": "s", "kind": "choice", "values": [16, 32, 64], "ordered": True}
    flag = {"name": "f", "kind": "boolean", "values": [False, True]}
    fixed = {"name": "c", "kind": "fixed", "values": [3]}
    same = {"name": "e", "kind": "float", "low": 1.0, "high": 1.0}
    axes = axes_of([kinds, sizes, flag, fixed, same])
    assert [one.name for one in axes] == ["k", "s", "f"]
    assert [one.is_number for one in axes] == [False, True, False]
    values = {"k": "y", "s": 32, "f": True, "c": 3, "e": 1.0}
    assert places_of(axes, values) == {"k": 0.75, "s": 0.5, "f": 0.75}
    assert axes[0].place("z") is None


def test_what_is_no_value_has_no_place():
    one = axis(low=1.0, high=2.0, scale="log")
    for value in ("text", None, True, float("nan")):
        assert one.place(value) is None


def test_conditions_choose_among_axes_of_one_name():
    where = {"name": "units", "kind": "int", "low": 1, "high": 10, "scale": "linear"}
    wide = {**where, "high": 100, "conditions": [{"name": "k", "values": ["wide"]}]}
    thin = {**where, "conditions": [{"name": "k", "values": ["thin"]}]}
    axes = axes_of([wide, thin])
    found = axis_for(axes, {"k": "thin", "units": 5}, "units")
    assert found.high == 10
    assert axis_for(axes, {"k": "none", "units": 5}, "units") is None
    np.testing.assert_allclose(places_of(axes, {"k": "wide", "units": 1})["units"], 0)
