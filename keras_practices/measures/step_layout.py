"""What stands where in the vector of a step, and the figures that follow from it."""

import dataclasses
import functools
import itertools

from keras_practices.measures.activation_figures import read_activation
from keras_practices.measures.activation_figures import root

# Figures of more than one number.
ARRAYS = ("gradient", "active")


@dataclasses.dataclass
class StepLayout:
    """The order of the figures in the vector that a watched step returns.

    Args:
        entries: List of `(figure, path or layer name, whether of a layer, length)`.
        sizes: Dict path → number of entries of the variable.
        owners: Dict layer name → paths of its variables.
        activations: Dict layer name → name of its activation.
    """

    entries: list[tuple[str, str, bool, int]]
    sizes: dict[str, int]
    owners: dict[str, list[str]]
    activations: dict[str, str]

    def read(self, values):
        """Turns the vector of a step into figures.

        Args:
            values: NumPy array of rank 1.

        Returns:
            `(weights, layers, gradients)`, see `StepFigures.read`.
        """
        weights = {path: {} for path in self.sizes}
        parts = {}
        for (figure, of_layer), (names, places) in self._columns.items():
            for name, value in zip(names, values[places].tolist(), strict=True):
                if of_layer:
                    parts.setdefault(name, {})[figure] = value
                else:
                    weights[name][figure] = value
        gradients = {}
        for figure, name, start, end in self._slices:
            if figure == "gradient":
                gradients[name] = values[start:end]
            else:
                parts[name][figure] = values[start:end]
        for path, figures in weights.items():
            _finish_weight(figures, self.sizes[path])
        layers = {}
        for name, found in parts.items():
            layers[name] = read_activation(found)
            layers[name]["activation"] = self.activations[name]
        for name, paths in self.owners.items():
            norms = [weights[path].get("gradient_norm") for path in paths]
            known = [norm for norm in norms if norm is not None]
            if known:
                size = sum(self.sizes[path] for path in paths)
                rms = root(sum(norm * norm for norm in known) / size)
                layers.setdefault(name, {})["gradient_rms"] = rms
        return weights, layers, gradients

    @functools.cached_property
    def _columns(self):
        """Of each figure that is one number: whose, and where they stand."""
        columns = {}
        for (figure, name, of_layer, _), start in zip(
            self.entries, self._starts, strict=True
        ):
            if figure not in ARRAYS:
                names, places = columns.setdefault((figure, of_layer), ([], []))
                names.append(name)
                places.append(start)
        return columns

    @functools.cached_property
    def _slices(self):
        """Of each figure of several numbers: what, whose, from where to where."""
        return [
            (figure, name, start, start + length)
            for (figure, name, _, length), start in zip(
                self.entries, self._starts, strict=True
            )
            if figure in ARRAYS
        ]

    @functools.cached_property
    def _starts(self):
        lengths = [length for *_, length in self.entries]
        return [0, *itertools.accumulate(lengths)][:-1]


def _finish_weight(figures, size):
    for name in ("weight_norm", "update_norm", "gradient_norm"):
        if name in figures:
            figures[name] = root(figures[name])
    for name in ("finite", "gradient_finite"):
        if name in figures:
            figures[name] = 1 - figures[name] / size if size else 1.0
    if "update_norm" in figures:
        norm = figures["weight_norm"]
        # A weight of zeros has no ratio.
        figures["update_ratio"] = figures["update_norm"] / norm if norm > 0 else None
