"""Measures: models and batches in, plain figures out; the model is never written."""
