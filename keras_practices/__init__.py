"""The training practices of the classic course notes, for Keras 3.

Four verbs:

- `check(model, x, y)`: before training, in seconds.
- `callbacks.TrainingMonitor`: during `model.fit`.
- `diagnose(model, x, y, epochs=…)`: both at once, and why it does not learn.
- `Report.save_html`, `.text`, `.to_json`: after; `compare(runs)` for several.

Then act: `tuners` search, `ensembles` and `transfer` get the last percent.
"""

import importlib

from keras_practices import augmentation
from keras_practices import callbacks
from keras_practices import charts
from keras_practices import constraints
from keras_practices import data
from keras_practices import ensembles
from keras_practices import initializers
from keras_practices import layers
from keras_practices import losses
from keras_practices import metrics
from keras_practices import optimizers
from keras_practices import regularizers
from keras_practices import schedules
from keras_practices import tensorboard
from keras_practices import transfer
from keras_practices.data import Split
from keras_practices.data import Vault
from keras_practices.diagnosis import check
from keras_practices.diagnosis import diagnose
from keras_practices.diagnosis import report_test_set
from keras_practices.findings import Finding
from keras_practices.record import Record
from keras_practices.report import Report
from keras_practices.report import compare
from keras_practices.report import report_search
from keras_practices.search_record import SearchRecord
from keras_practices.version import __version__

__all__ = [
    "Finding",
    "Record",
    "Report",
    "SearchRecord",
    "Split",
    "Vault",
    "__version__",
    "augmentation",
    "callbacks",
    "charts",
    "check",
    "compare",
    "constraints",
    "data",
    "diagnose",
    "ensembles",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "optimizers",
    "regularizers",
    "report_search",
    "report_test_set",
    "schedules",
    "tensorboard",
    "transfer",
    "tuners",
]


def __getattr__(name):
    # keras_tuner is an extra: the room that wraps it loads at first use.
    if name == "tuners":
        return importlib.import_module("keras_practices.tuners")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
