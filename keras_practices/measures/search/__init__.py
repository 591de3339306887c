"""Measures of searches: how trials ended in, plain figures out."""
