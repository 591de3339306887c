"""Losses of the course notes that Keras has not."""

from keras_practices.losses.multiclass_hinge import MulticlassHinge

__all__ = ["MulticlassHinge"]
