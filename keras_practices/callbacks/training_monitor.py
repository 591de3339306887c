"""Writes down what a training does, step by step."""

import math
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import keras

from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices._core.validation import value_error
from keras_practices.callbacks.budget import Budget
from keras_practices.callbacks.epoch_writer import EpochWriter
from keras_practices.callbacks.epoch_writer import median_of
from keras_practices.callbacks.guard import guarded
from keras_practices.callbacks.guard import switch_off
from keras_practices.callbacks.live_findings import LIVE
from keras_practices.callbacks.live_findings import LiveFindings
from keras_practices.callbacks.step_sampler import StepSampler
from keras_practices.errors import KerasPracticesWarning
from keras_practices.errors import first_line
from keras_practices.measures.environment import measure_environment
from keras_practices.measures.sample import take_sample
from keras_practices.record import Record
from keras_practices.rules import check_codes
from keras_practices.tensorboard import EventWriter

PROBE_ROWS = 128


class TrainingMonitor(keras.callbacks.Callback):
    """Records what every layer and every step does, while `fit` runs.

    - Every step: the true loss of the batch (Keras's own `logs` hold the running
      mean) and the learning rate. On TensorFlow, where it costs time to
      read them, sizes of batches and the rate are looked up now and then: where a
      smaller batch stands inside an epoch, up to 100 steps around it get their mean
      loss, and a rate set inside an epoch is seen as late, both once.
    - Sampled steps (1, 2, 4, 8, … and then every `every`-th), from inside the compiled
      step: for each variable the norms of gradient, weight and applied update, the
      ratio of the last two, and the share of finite entries; for each layer with an
      activation mean, second moment, share of zeros, share saturated, units that were
      zero in all samples of the epoch, on the first 8 rows of the batch; for each
      layer the root mean square of its gradient.
    - Every epoch, or fewer where a probe is dear, and the last one: loss in inference
      mode on the probe, penalty of the weights, gap to the validation loss, layers on
      the probe; after epochs 1, 2, 4, 8, … and the last one histograms of activations
      and gradients, and the first layer's filters.

    After each epoch the rules look through the record; what has become sure is printed
    once (unless `fit` is silent) and written down.

    Training goes on as without it: the same weights, seeds, history and saved model
    (to float32 rounding, where a compiler fuses the sampled step in another way).
    Steps that are not sampled run the model's own compiled function. A fault inside
    the monitor becomes one warning, and what can still be recorded is.

    State: `record`, line by line in `directory`; in memory a bounded share of it.
    Cost: the first sample compiles a second train function (on JAX this takes as long
    as the first); after that a sampled step reads gradients and weights once more. The
    monitor measures its own share of the time, samples less often and leaves out
    probes where it would be above `overhead`, and writes the share down at the end.

    Args:
        directory: Folder for `record.jsonl`, or None to keep the record in memory.
        probe: Rows to look at, `(x, y)` arrays, a `Part`, or a dataset; the first 128
            are kept. Use training rows. None leaves out what is measured on it.
        every: Int. Steps between two samples, after the first ones; more where
            samples would take more than the rest leaves of `overhead`.
        overhead: Float in (0, 1]. Largest share of the time the monitor may take; 1
            is no limit.
        add_to_logs: Bool. Adds `monitor/…` values to the logs of each epoch, so that
            the history and the callbacks of trackers that stand after the monitor
            have them.
        tensorboard: Folder for TensorBoard events of all that is recorded, or None;
            needs the extra "tensorboard".
        stop_on: List of rule codes: a finding of one of them ends the training after
            the epoch. Rules that are judged while training runs are those on a loss
            that is not finite or diverges, on exploding gradients, diverging weights,
            dead or saturated units, and overfitting.

    Attributes:
        record: The `keras_practices.record.Record` of the last training.

    Raises:
        OSError: `directory` cannot be written.
        TypeError, ValueError: bad arguments.
        ImportError: `tensorboard` is given and its package is not installed.

    Example:

    >>> import numpy as np
    >>> x, y = np.random.default_rng(0).normal(size=(64, 4)), np.zeros((64, 1))
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> monitor = TrainingMonitor(probe=(x, y))
    >>> history = model.fit(x, y, verbose=0, callbacks=[monitor])
    >>> len(monitor.record.curve("loss")[1])
    2

    References:
        CS231n, Neural Networks Part 3: "Babysitting the learning process".
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        probe: Any = None,
        every: int = 25,
        overhead: float = 0.02,
        add_to_logs: bool = False,
        tensorboard: str | os.PathLike[str] | None = None,
        stop_on: Sequence[str] = (),
    ):
        super().__init__()
        self.every = check_integer(self, "every", every, low=1)
        self.overhead = check_number(
            self, "overhead", overhead, low=0, high=1, closed="right"
        )
        self.directory = directory
        self.add_to_logs = bool(add_to_logs)
        self.stop_on = check_codes(self, "stop_on", stop_on)
        late = sorted(self.stop_on - set(LIVE))
        if late:
            raise value_error(self, "stop_on", f"some of {', '.join(LIVE)}", late)
        self.record = Record(directory)
        self.broken = False
        self.extra_figures: dict[str, Any] = {}
        self._events = None
        if tensorboard is not None:
            self._events = EventWriter(tensorboard)
        self._probe = None
        self._rows = 0
        self._sampler = None
        self._steps = 0
        if probe is not None:
            pair = probe if isinstance(probe, tuple) else (probe,)
            sample = take_sample(*pair, owner="TrainingMonitor", max_rows=PROBE_ROWS)
            self._probe = sample.head(PROBE_ROWS)
            self._rows = min(PROBE_ROWS, sample.rows)

    # --- hooks ---------------------------------------------------------------

    def on_train_begin(self, logs=None):
        """Starts a new record, looks at the model, and watches its train function."""
        self.broken = False
        self._leave()
        self._begin()

    @guarded
    def _begin(self):
        self._budget = budget = Budget(self.overhead)
        self._epoch, self._steps, self._warned = 0, 0, set()
        with budget.spending():
            if self.record.lines:
                self.record = Record(self.directory)
            if self._events is not None:
                self.record.follow(self._export)
            model = self.model
            self._write_start(model)
            self._live = LiveFindings(self.record)
            self._epochs = EpochWriter(model, self.record, self._probe, self._lost)
        with budget.spending(compiling=self._epochs.compiles):
            # A later `fit` leaves out a dear one: the end of the one before shows it.
            seconds = self._epochs.probe_seconds
            if self._epochs.compiles or budget.affords(seconds, done=0):
                self._epochs.write_probe(0, 0)
            self._epochs.write_epoch(0, 0, 0.0, {})
            budget.ahead = self._epochs.probe_seconds
        with budget.spending():
            self._watch(model)

    @guarded
    def on_epoch_begin(self, epoch, logs=None):
        """Notes where the epoch begins."""
        self._epoch = epoch
        self._epoch_begun = self._budget.elapsed
        if self._sampler is not None:
            self._sampler.begin_epoch(epoch)

    @guarded
    def on_epoch_end(self, epoch, logs=None):
        """Writes what the steps of the epoch gave; measures the probe."""
        with self._budget.spending():
            seconds = self._budget.elapsed - self._epoch_begun
            self._flush()
            model = self.model
            # A loop that is not Keras's need not say how many epochs it will run.
            done = (epoch + 1) / (self.params.get("epochs") or math.inf)
            probed = done == 1 or self._budget.affords(
                self._epochs.probe_seconds, done=done
            )
            if probed:
                self._epochs.write_probe(epoch + 1, self._steps)
            found = self._epochs.write_epoch(
                epoch + 1, self._steps, seconds, logs or {}
            )
            if self.add_to_logs and logs is not None:
                logs.update(self._for_logs(found))
            # After epoch 1, 2, 4, 8, …; the last one is written in any case.
            if probed and (epoch + 1) & epoch == 0:
                self._write_histograms(model)
            if self._budget.affords() or self.stop_on:
                self._say(model, epoch)
            self._budget.ahead = self._epochs.probe_seconds

    def _say(self, model, epoch):
        """Prints what has become sure, once, and ends a run that has no hope."""
        try:
            found = self._live.look()
        except Exception as error:  # the record goes on
            self._lost("findings while training runs", error)
            return
        for finding in found:
            self.record.add("finding", epoch=epoch + 1, **finding.to_dict())
            words = f"{finding.rule}: {finding.message} {finding.advice}"
            if finding.rule in self.stop_on:
                model.stop_training = True
                left = (self.params.get("epochs") or 0) - epoch - 1
                words += f" Training ends here, {left} epochs early."
            if self.params.get("verbose"):
                sys.stdout.write(f"\nTrainingMonitor, epoch {epoch + 1}: {words}\n")

    def on_train_end(self, logs=None):
        """Writes the last figures, closes the record, leaves the model."""
        self._end()
        # Also after a fault: nothing of ours stays on the model.
        self._leave()

    @guarded
    def _end(self):
        budget = self._budget
        with budget.spending():
            self._write_histograms(self.model)
        self.record.add(
            "end",
            status="completed",
            steps=self._steps,
            seconds=budget.elapsed,
            monitor_seconds=budget.spent,
            compile_seconds=budget.compiled,
            share=budget.share,
        )
        self.record.close()

    # --- lines ---------------------------------------------------------------

    def _write_start(self, model):
        self.record.add(
            "start",
            schema=1,
            environment=measure_environment(),
            fit={
                "epochs": self.params.get("epochs"),
                "steps_per_epoch": self.params.get("steps"),
            },
            probe_rows=self._rows,
            variables={v.path: list(v.shape) for v in model.trainable_variables},
            figures=self.extra_figures,
        )

    def _write_histograms(self, model):
        gradients = {}
        if self._sampler is not None:
            gradients, self._sampler.gradients = self._sampler.gradients, {}
        self._epochs.write_histograms(model, self._epoch + 1, self._steps, gradients)

    def _for_logs(self, found):
        weights = {} if self._sampler is None else self._sampler.latest
        for figure in ("gradient_norm", "update_ratio"):
            found[figure] = median_of(weights, figure)
        return {
            f"monitor/{name}": value
            for name, value in found.items()
            if value is not None and name != "validation_loss"
        }

    def _export(self, line):
        if self._events is None:
            return
        try:
            self._events.add(line)
            if line["kind"] in ("epoch", "end"):
                self._events.flush()
        except Exception as error:
            self._events = None
            self._lost("TensorBoard events", error)

    # --- steps ---------------------------------------------------------------

    def _watch(self, model):
        """Watches the steps; where that cannot be, epochs and probe remain."""
        try:
            self._sampler = StepSampler(
                model,
                self.record,
                every=self.every,
                budget=self._budget,
                steps_per_epoch=self.params.get("steps"),
                on_lost=self._lost,
                on_failed=self._failed,
            )
        except Exception as error:
            self._lost("figures of the steps", error)

    def _flush(self):
        if self._sampler is None:
            return
        self._sampler.flush()
        self._steps = self._sampler.steps
        if self._steps == 0:
            self._lost("figures of the steps", "`fit` took no step that can be seen.")

    def _leave(self):
        if self._sampler is not None:
            self._sampler.leave()
        self._sampler = None

    def _lost(self, what, error):
        """Says once that something cannot be recorded."""
        if what in self._warned:
            return
        self._warned.add(what)
        why = first_line(error) if isinstance(error, Exception) else str(error)
        self.record.add("fault", what=what, why=why)
        warnings.warn(
            f"TrainingMonitor goes on without the {what}: {why}",
            KerasPracticesWarning,
            stacklevel=2,
        )

    def _failed(self, error):
        self._sampler = None
        switch_off(self, "a step", error)
