"""Writes into the record what is measured at the ends of epochs."""

import math

import numpy as np

from keras_practices._core.fit_internals import kept_by
from keras_practices.callbacks.step_sampler import short
from keras_practices.callbacks.step_sampler import short_table
from keras_practices.measures.filters import measure_filters
from keras_practices.measures.layers import input_tensors
from keras_practices.measures.probe import Probe
from keras_practices.measures.probe import histogram


class EpochWriter:
    """Measures a fixed probe and writes `probe`, `epoch` and `histogram` lines.

    Args:
        model: The model in `fit`, at its beginning.
        record: Where lines go.
        rows: `(x, y, sample_weight)` NumPy arrays of the probe, or None.
        on_lost: Function `(what, error)` for what cannot be measured.

    Attributes:
        compiles: True until the probe was compiled; a second `fit` finds it there.
    """

    def __init__(self, model, record, rows, on_lost):
        self._record = record
        self._lost = on_lost
        self._losses = None
        self._entries = {}
        self._measured_at = None
        self._histograms_at = None
        self._faults = set()
        self._probe = None
        self.compiles = False
        if rows is not None:
            self._rows = tuple(input_tensors(part) for part in rows)
            # Before the step is watched: this is the model's own function.
            own = model.train_function
            self._probe, self.compiles = kept_by(own, "probe", lambda: Probe(model))

    @property
    def probe_seconds(self):
        """What the probe took last, 0 while that is not known."""
        return self._probe.seconds if self._probe is not None else 0.0

    def write_probe(self, epoch, step):
        """Runs the probe; remembers losses and outputs for the other lines.

        Args:
            epoch: Epochs that are finished.
            step: Steps so far.
        """
        self._losses, self._entries = None, {}
        if self._probe is None:
            return
        try:
            self._losses, layers, self._entries = self._probe.measure(*self._rows)
        except Exception as error:
            self._lost("figures on the probe", error)
            self._probe = None
            return
        self._measured_at = epoch
        self.compiles = False
        for what in self._probe.faults.keys() - self._faults:
            # No warning: a loss that cannot be had is what `fit` is about to raise.
            self._record.add("fault", what=what, why=self._probe.faults[what])
        self._faults |= self._probe.faults.keys()
        if layers:
            self._record.add(
                "probe", epoch=float(epoch), step=step, layers=short_table(layers)
            )

    def write_epoch(self, epoch, step, seconds, logs):
        """Writes the line of an epoch.

        Args:
            epoch: Epochs that are finished.
            step: Steps so far.
            seconds: What the epoch took.
            logs: Logs of the epoch.

        Returns:
            Dict of what may be added to the logs.
        """
        numbers = {
            key: float(value)
            for key, value in logs.items()
            if isinstance(value, int | float) or getattr(value, "ndim", 1) == 0
        }
        fresh = self._measured_at == epoch
        data, penalty = self._losses if fresh and self._losses else (None, None)
        validation, gap = numbers.get("val_loss"), None
        if validation is not None and data is not None:
            gap = validation - data - penalty
        own = {
            "probe_loss": data,
            "regularization_loss": penalty,
            "validation_loss": validation,
            "gap": gap,
        }
        self._record.add(
            "epoch",
            epoch=epoch,
            step=step,
            seconds=seconds,
            logs=numbers,
            **{name: short(value) for name, value in own.items()},
        )
        return {name: value for name, value in own.items() if value is not None}

    def write_histograms(self, model, epoch, step, gradients):
        """Writes histograms of outputs and gradients, and the first layer's filters.

        Args:
            model: The model as it is now.
            epoch: Epochs that are finished.
            step: Steps so far.
            gradients: Dict path → list of arrays with entries of sampled gradients.
        """
        if self._histograms_at == epoch:
            return
        self._histograms_at = epoch
        if self._probe is not None and self._measured_at != epoch:
            self.write_probe(epoch, step)
        entries = {path: np.concatenate(parts) for path, parts in gradients.items()}
        groups = (("activations", self._entries), ("gradients", entries))
        for of, table in groups:
            for name, values in table.items():
                found = histogram(values)
                if found is not None:
                    self._record.add(
                        "histogram",
                        epoch=epoch,
                        step=step,
                        of=of,
                        layer=name,
                        edges=[short(edge) for edge in found[0]],
                        counts=found[1],
                    )
        filters = measure_filters(model)
        if filters is not None:
            self._record.add("filters", epoch=epoch, **filters)


def median_of(weights, figure):
    """Median of one figure over the variables of a sample, None without any."""
    values = [found.get(figure) for found in weights.values()]
    known = [value for value in values if value is not None and math.isfinite(value)]
    return float(np.median(known)) if known else None
