"""Where a run took place."""

import platform
import sys

import keras
import numpy as np

from keras_practices.version import __version__


def measure_environment():
    """Returns versions, backend and machine as a dict of strings."""
    backend = keras.backend.backend()
    module = sys.modules.get(backend)
    return {
        "keras_practices": __version__,
        "keras": keras.__version__,
        "backend": f"{backend} {getattr(module, '__version__', '')}".strip(),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "dtype policy": keras.config.dtype_policy().name,
        "devices": _devices(),
    }


def _devices():
    try:
        return ", ".join(keras.distribution.list_devices())
    except AttributeError:  # Keras 3.15 has no list of devices on PyTorch
        return "not listed on this backend"
