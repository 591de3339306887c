"""How far one step moved the weights, beside how large they are."""

import numpy as np
from keras import ops


def kernel_values(model):
    """Copies the trainable kernels (rank 2 and above) of a model.

    Args:
        model: A built Keras model.

    Returns:
        Dict path → NumPy array. Biases and scales are left out: the ratio of their
        updates says little while they begin at zero.
    """
    return {
        variable.path: np.array(ops.convert_to_numpy(variable.value))
        for variable in model.trainable_variables
        if len(variable.shape) >= 2
    }


def measure_updates(before, after):
    """Compares weights before and after a step.

    Args:
        before: From `kernel_values`.
        after: The same, later.

    Returns:
        Dict path → `weight_norm` (before), `update_norm`, `update_ratio` (None for a
        kernel of zeros) and `finite` (share of finite entries after the step). Norms
        are taken in float64.
    """
    figures = {}
    for path, old in before.items():
        if path not in after:
            continue
        old = old.astype(np.float64)
        new = after[path].astype(np.float64)
        norm = float(np.linalg.norm(old))
        update = float(np.linalg.norm(new - old))
        figures[path] = {
            "weight_norm": norm,
            "update_norm": update,
            "update_ratio": update / norm if norm > 0 else None,
            "finite": float(np.isfinite(new).mean()),
        }
    return figures
