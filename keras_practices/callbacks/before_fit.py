"""What the callbacks that check before the first step have in common."""

import warnings
from typing import Any

import keras

from keras_practices._core.validation import check_choice
from keras_practices.callbacks.guard import switch_off
from keras_practices.errors import KerasPracticesError
from keras_practices.errors import KerasPracticesWarning
from keras_practices.errors import SanityCheckError
from keras_practices.findings import Finding
from keras_practices.measures.sample import take_sample
from keras_practices.measures.set_up import check_model
from keras_practices.rules import explain
from keras_practices.rules import run_rules


class BeforeFit(keras.callbacks.Callback):
    """Measures at `on_train_begin`, on state at the side, and warns or stops.

    Subclasses name their `rules` and give `measure(model, sample)`.

    Args:
        data: Arrays `(x, y[, sample_weight])` or a dataset; a sample is taken now.
        on_failure: `"warn"` or `"stop"`.
    """

    rules: tuple[str, ...] = ()

    def __init__(self, data: Any, *, on_failure: str = "warn"):
        super().__init__()
        self.on_failure = check_choice(self, "on_failure", on_failure, ("warn", "stop"))
        parts = data if isinstance(data, tuple) else (data,)
        self._sample = take_sample(*parts, owner=type(self).__name__)
        self.findings: list[Finding] = []
        self.broken = False

    def measure(self, model, sample):
        """Returns the figures that `rules` read."""
        raise NotImplementedError

    def on_train_begin(self, logs=None):
        """Runs the checks; see the class."""
        self.findings = []
        model = check_model(type(self).__name__, self.model)
        try:
            figures = self.measure(model, self._sample)
            found = run_rules(figures, stages=("before",), select=set(self.rules))
            self.findings = explain(found)
        except KerasPracticesError:
            raise
        except Exception as error:
            switch_off(self, "on_train_begin", error)
            return
        self._report()

    def _report(self):
        problems = [finding for finding in self.findings if finding.is_problem]
        if not problems:
            return
        text = "\n".join(
            f"  {f.severity} {f.rule} ({f.subject}): {f.message} {f.advice}"
            for f in problems
        )
        message = f"{type(self).__name__} found before the first step:\n{text}"
        has_error = any(finding.severity == "error" for finding in problems)
        if self.on_failure == "stop" and has_error:
            raise SanityCheckError(message, self.findings)
        warnings.warn(message, KerasPracticesWarning, stacklevel=2)
