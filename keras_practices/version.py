"""The version, a literal that setup.cfg reads without importing Keras."""

__version__ = "0.1.0"
