"""Prints how activations fare by depth under each initialization (Markdown).

    python benchmarks/initialization.py                       # the table
    python benchmarks/initialization.py --image docs/images/initialization.png

A stack of dense ReLU layers on standardized inputs; each figure is the mean square of
a layer's activations, over rows and units.
"""

import argparse
import pathlib

import keras
import numpy as np

from keras_practices.initializers.lsuv import LSUV

ROWS, DEPTH, WIDTH, SEEDS = 256, 30, 256, 5
SHOWN = (1, 2, 5, 10, 20, 30)
COLOURS = ("#0072b2", "#d55e00", "#999999", "#009e73")


def initializers(seed):
    """Returns name -> initializer of a kernel; LSUV rescales what it finds."""
    return {
        "He, √(2/n)": keras.initializers.HeNormal(seed=seed),
        "Xavier (Glorot), √(1/n)": keras.initializers.GlorotNormal(seed=seed),
        "small numbers, 0.01": keras.initializers.RandomNormal(stddev=0.01, seed=seed),
        "LSUV": None,
    }


def mean_squares(name, seed):
    """Returns the mean square of each layer's activations."""
    layers = []
    for number in range(DEPTH):
        # An integer seed gives an initializer the same values at every call.
        initializer = initializers(1000 * seed + number)[name] or "he_normal"
        layer = keras.layers.Dense(WIDTH, "relu", kernel_initializer=initializer)
        layers.append(layer)
    model = keras.Sequential([keras.Input((WIDTH,)), *layers])
    x = np.random.default_rng(seed).standard_normal((ROWS, WIDTH)).astype("float32")
    if name == "LSUV":
        LSUV(seed=seed)(model, x)
    outputs = keras.Model(model.inputs[0], [layer.output for layer in layers])(x)
    arrays = [keras.ops.convert_to_numpy(one).astype("float64") for one in outputs]
    return [float((array**2).mean()) for array in arrays]


def expected(name):
    """Returns the factor a layer multiplies the mean square with, in theory."""
    return {
        "He, √(2/n)": 1.0,
        "Xavier (Glorot), √(1/n)": 0.5,
        "small numbers, 0.01": WIDTH * 0.01**2 / 2,
        "LSUV": 1.0,
    }[name]


def draw(figures, path):
    """Writes the picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    depths = range(1, DEPTH + 1)
    for (name, values), colour in zip(figures.items(), COLOURS, strict=True):
        axes.plot(depths, values, marker=".", color=colour, label=name)
    axes.set_yscale("log")
    axes.set_ylim(1e-12, 30)  # what is below is gone
    axes.set_xlabel("layer")
    axes.set_ylabel("mean square of the activations")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main():
    """Measures, prints, draws."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--image", type=pathlib.Path)
    image = parser.parse_args().image
    figures = {
        name: np.exp(
            np.log([mean_squares(name, seed) for seed in range(SEEDS)]).mean(axis=0)
        )
        for name in initializers(0)
    }
    titles = [f"layer {depth}" for depth in SHOWN]
    print(f"{DEPTH} dense ReLU layers of {WIDTH} units, {ROWS} rows of standard normal")
    print(f"inputs, geometric mean of {SEEDS} seeds.\n")
    print("| initialization |", " | ".join([*titles, "a layer", "in theory"]), "|")
    print("|---|" + "---|" * (len(SHOWN) + 2))
    for name, values in figures.items():
        cells = [f"{values[depth - 1]:.2g}" for depth in SHOWN]
        factor = (values[-1] / values[0]) ** (1 / (DEPTH - 1))
        cells += [f"× {factor:.3g}", f"× {expected(name):.3g}"]
        print(f"| {name} |", " | ".join(cells), "|")
    if image is not None:
        draw(figures, image)


if __name__ == "__main__":
    main()
