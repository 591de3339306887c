"""Where a run took place."""

import platform
import sys

import keras
import numpy as np

from keras_practices._core import backend
from keras_practices.version import __version__


def measure_environment():
    """Returns versions, backend and machine as a dict of strings."""
    name = keras.backend.backend()
    module = sys.modules.get(name)
    return {
        "keras_practices": __version__,
        "keras": keras.__version__,
        "backend": f"{name} {getattr(module, '__version__', '')}".strip(),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "dtype policy": keras.config.dtype_policy().name,
        "devices": ", ".join(backend.devices()),
    }
