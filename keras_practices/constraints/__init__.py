"""Weight constraints: projected gradient, per unit, on the right axis."""

from keras_practices.constraints.apply import apply_max_norm
from keras_practices.constraints.max_norm import MaxNorm

__all__ = ["MaxNorm", "apply_max_norm"]
