"""What stands where in the vector of a step, and the figures that follow from it."""

import dataclasses

import numpy as np

from keras_practices.measures.activation_figures import read_activation


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
        flat, gradients = {}, {}
        start = 0
        for figure, name, of_layer, length in self.entries:
            part = values[start : start + length]
            start += length
            if of_layer:
                flat.setdefault(name, {})[figure] = part
            elif figure == "gradient":
                gradients[name] = part
            else:
                weights[name][figure] = float(part[0])
        for path, figures in weights.items():
            _finish_weight(figures, self.sizes[path])
        layers = {}
        for name, parts in flat.items():
            layers[name] = read_activation(parts)
            layers[name]["activation"] = self.activations[name]
        for name, paths in self.owners.items():
            norms = [weights[path].get("gradient_norm") for path in paths]
            known = [norm for norm in norms if norm is not None]
            if known:
                size = sum(self.sizes[path] for path in paths)
                rms = float(np.sqrt(np.sum(np.square(known)) / size))
                layers.setdefault(name, {})["gradient_rms"] = rms
        return weights, layers, gradients


def _finish_weight(figures, size):
    for name in ("weight_norm", "update_norm", "gradient_norm"):
        if name in figures:
            figures[name] = float(np.sqrt(figures[name]))
    for name in ("finite", "gradient_finite"):
        if name in figures:
            figures[name] = 1 - figures[name] / size if size else 1.0
    if "update_norm" in figures:
        norm = figures["weight_norm"]
        # A weight of zeros has no ratio.
        figures["update_ratio"] = figures["update_norm"] / norm if norm > 0 else None
