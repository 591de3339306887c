"""The random state that a training goes on with in another process."""

import random
import sys

import keras
import numpy as np


def get_random_state(model):
    """Returns the states of the model's seeds, Python, NumPy and PyTorch.

    `fit` shuffles arrays by NumPy on JAX and by PyTorch on PyTorch, where layers
    without a seed draw from PyTorch too. PyTorch is only looked at where something
    else has imported it already.
    """
    state = {
        "seeds": [keras.ops.convert_to_numpy(seed) for seed in _seeds(model)],
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=False),
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        state["torch"] = torch.random.get_rng_state().numpy()
        if torch.cuda.is_initialized():
            state["cuda"] = [s.numpy() for s in torch.cuda.get_rng_state_all()]
    return state


def set_random_state(model, state):
    """Puts back what `get_random_state` returned; says whether the seeds fitted."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    np.random.set_state(state["numpy"])
    torch = sys.modules.get("torch")
    if torch is not None and "torch" in state:
        torch.random.set_rng_state(torch.from_numpy(state["torch"]))
        devices = state.get("cuda", [])
        if devices and len(devices) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all([torch.from_numpy(s) for s in devices])
    seeds = _seeds(model)
    if len(seeds) != len(state["seeds"]):
        return False
    for seed, value in zip(seeds, state["seeds"], strict=True):
        seed.assign(value)
    return True


def _seeds(model):
    """What stands in `variables` and is neither a weight nor of a metric."""
    others = [*model.weights, *model.metrics_variables]
    known = {id(variable) for variable in others}
    return [variable for variable in model.variables if id(variable) not in known]
