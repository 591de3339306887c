"""Showing: text, HTML, JSON and pictures. Reads findings and records, nothing else."""

from keras_practices.report.report import Report

__all__ = ["Report"]
