"""Small data sets for the healthy programs: scikit-learn's own and made-up ones."""

import functools

import numpy as np
from sklearn import datasets


def rng(seed):
    """A generator of its own for each program."""
    return np.random.default_rng(9000 + seed)


@functools.cache
def table(name, scaled=True):
    """A bundled table, shuffled: (x, y) for training and for validation."""
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    order = rng(0).permutation(len(x))
    x, y = x[order].astype("float32"), y[order]
    cut = int(0.8 * len(x))
    if scaled:
        x = (x - x[:cut].mean(0)) / (x[:cut].std(0) + 1e-7)
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])


@functools.cache
def digits(scale=16.0):
    """Handwritten digits of 8 × 8 pixels: (x, y) for training and for validation."""
    (x, y), (held_x, held_y) = table("digits", scaled=False)
    x, held_x = (v.reshape(-1, 8, 8, 1) / np.float32(scale) for v in (x, held_x))
    return (x, y), (held_x, held_y)


def halves(x, *ys, share=0.8):
    """Splits made-up rows: (x, y) for training and for validation."""
    cut = int(share * len(ys[-1]))

    def part(values, where):
        if isinstance(values, dict):
            return {key: part(value, where) for key, value in values.items()}
        return values[where]

    kept = [part(v, slice(None, cut)) for v in (x, *ys)]
    held = [part(v, slice(cut, None)) for v in (x, *ys)]
    return tuple(kept), tuple(held)


def smooth_table(rows=1500, columns=6, seed=1):
    """Rows of a smooth function of several columns, with a little noise."""
    r = rng(seed)
    x = r.normal(size=(rows, columns)).astype("float32")
    y = np.sin(x[:, 0]) + x[:, 1] * x[:, 2] / 2 + 0.5 * x[:, 3]
    return x, (y + r.normal(0, 0.1, rows)).astype("float32")


def tokens(rows=1500, length=24, words=120, seed=2):
    """Token ids, zero-padded; class 1 where words 2–20 outnumber words 21–39."""
    r = rng(seed)
    x = np.zeros((rows, length), "int32")
    for row, size in zip(x, r.integers(10, length + 1, rows), strict=True):
        tilt = r.random()
        low = np.where(r.random(size) < tilt, 2, 21)
        plain = r.random(size) < 0.4
        row[:size] = np.where(
            plain, r.integers(40, words, size), low + r.integers(0, 19, size)
        )
    good = ((x >= 2) & (x < 21)).sum(1) - ((x >= 21) & (x < 40)).sum(1)
    keep = good != 0
    return x[keep], (good[keep] > 0).astype("int32")


def series(steps=2000, window=20, seed=3, drift=0.0):
    """Windows of a noisy wave with two periods, in order of time, and the next value.

    Args:
        steps: Length of the series.
        window: Steps of one row.
        seed: Seed of the noise.
        drift: Rise of the level from the first step to the last.
    """
    r = rng(seed)
    t = np.arange(steps)
    wave = np.sin(t / 5) + 0.5 * np.sin(t / 17) + r.normal(0, 0.1, steps)
    wave = (wave + drift * t / steps).astype("float32")
    rows = np.lib.stride_tricks.sliding_window_view(wave, window + 1)
    return rows[:, :-1, None].copy(), rows[:, -1:].copy()
