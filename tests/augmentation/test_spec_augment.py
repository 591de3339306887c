import numpy as np
import pytest
from keras import ops

from keras_practices.augmentation import SpecAugment

RNG = np.random.default_rng(0)
OFF = {"time_masks": 0, "freq_masks": 0}


def masked(layer, shape):
    """Where the layer masks spectrograms that hold no zero."""
    outputs = ops.convert_to_numpy(layer(np.ones(shape, "float32"), training=True))
    assert set(np.unique(outputs)) <= {0.0, 1.0}
    return outputs == 0


@pytest.mark.parametrize("time_axis", [1, 2])
@pytest.mark.parametrize("over", ["time", "freq"])
def test_one_mask_is_one_band_of_its_axis(time_axis, over):
    arguments = {**OFF, f"{over}_masks": 1, f"{over}_width": 6, "time_axis": time_axis}
    mask = masked(SpecAugment(**arguments, seed=1), (200, 15, 15))
    along = time_axis if over == "time" else 3 - time_axis
    across = 3 - along
    assert (mask.all(axis=across) == mask.any(axis=across)).all()
    band = mask.any(axis=across)
    widths = band.sum(axis=1)
    assert set(widths) == set(range(7))
    edges = np.diff(np.pad(band.astype(int), ((0, 0), (1, 1))), axis=1)
    assert (abs(edges).sum(axis=1) == 2 * (widths > 0)).all()


def test_widths_and_places_are_drawn_evenly():
    count, length, widest = 6000, 10, 4
    layer = SpecAugment(**{**OFF, "time_masks": 1}, time_width=widest, seed=2)
    band = masked(layer, (count, length, 1))[..., 0]
    # Of each width 0 to 4 one fifth; of each place that it fits into, an equal share.
    expected = np.zeros(length)
    for width in range(widest + 1):
        places = length - width + 1
        for start in range(places):
            expected[start : start + width] += 1 / (widest + 1) / places
    bound = 5 * np.sqrt(expected * (1 - expected) / count)
    assert (abs(band.mean(axis=0) - expected) < bound).all()
    shares = np.bincount(band.sum(axis=1)) / count
    assert (abs(shares - 0.2) < 5 * np.sqrt(0.2 * 0.8 / count)).all()


def test_time_share_bounds_the_width():
    layer = SpecAugment(1, 0, time_width=100, time_share=0.3, seed=3)
    widths = masked(layer, (300, 10, 2))[..., 0].sum(axis=1)
    assert set(widths) == {0, 1, 2, 3}


def test_a_mask_wider_than_the_spectrogram_fits():
    layer = SpecAugment(1, 1, time_width=500, freq_width=500, seed=3)
    assert masked(layer, (50, 10, 4)).shape == (50, 10, 4)


def test_channels_share_the_masks_and_the_rest_is_untouched():
    x = RNG.uniform(1, 2, (9, 12, 8, 3)).astype("float32")
    layer = SpecAugment(time_width=5, freq_width=3, mask_value=-7.0, seed=4)
    outputs = ops.convert_to_numpy(layer(x, training=True))
    mask = outputs == -7
    assert (mask.all(axis=-1) == mask.any(axis=-1)).all()
    assert mask.any()
    np.testing.assert_array_equal(outputs[~mask], x[~mask])


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"time_masks": -1}, ValueError, "time_masks"),
        ({"freq_masks": 1.5}, TypeError, "freq_masks"),
        ({"time_width": -1}, ValueError, "time_width"),
        ({"freq_width": "wide"}, TypeError, "freq_width"),
        ({"time_share": 2.0}, ValueError, "time_share"),
        ({"mask_value": None}, TypeError, "mask_value"),
        ({"time_axis": 0}, ValueError, "time_axis"),
    ],
)
def test_bad_arguments_are_named(arguments, error, name):
    with pytest.raises(error, match=f"SpecAugment: argument `{name}`"):
        SpecAugment(**arguments)
