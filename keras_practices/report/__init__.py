"""Showing: text, HTML, JSON and pictures of findings and records."""

from keras_practices.report.comparison import compare
from keras_practices.report.report import Report
from keras_practices.report.search import report_search

__all__ = ["Report", "compare", "report_search"]
