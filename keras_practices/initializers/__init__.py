"""Weight initializers that Keras lacks."""

from keras_practices.initializers.sparse_normal import SparseNormal

__all__ = ["SparseNormal"]
