"""Writes down what a training does, step by step."""

import os
import time
from typing import Any

import keras

from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices.callbacks.batch_loss import BatchLoss
from keras_practices.callbacks.guard import guarded
from keras_practices.errors import first_line
from keras_practices.measures.environment import measure_environment
from keras_practices.measures.layers import first_kernel
from keras_practices.measures.layers import input_tensors
from keras_practices.measures.layers import measure_histograms
from keras_practices.measures.layers import measure_layers
from keras_practices.measures.layers import run_captured
from keras_practices.measures.model_card import has_custom_train_step
from keras_practices.measures.sample import take_sample
from keras_practices.measures.side_state import measure_losses
from keras_practices.measures.updates import kernel_values
from keras_practices.measures.updates import measure_updates
from keras_practices.record import Record

PROBE_ROWS = 128
# Seconds that the monitor may take before its share of the time counts, so that a
# training of seconds is recorded in full.
GRACE_SECONDS = 2.0
# Steps between two lines of batch losses in the record.
STEPS_A_LINE = 200


class TrainingMonitor(keras.callbacks.Callback):
    """Records losses, rates, updates and activations while `fit` runs.

    True loss and learning rate of every batch (Keras's own `logs` hold the running
    mean); at sampled steps the norm of every kernel's update beside the norm of the
    kernel, and the outputs of every layer with an activation; at the end of each
    epoch the loss in inference mode on the probe. Weights, optimizer and random state
    are never written: training goes on as without it. A fault inside the monitor
    becomes one warning and switches it off.

    State: `record` (in memory, and line by line in `directory`). Cost: between samples
    one look at the loss tracker; a sample copies the kernels and runs the probe once.
    Samples are dense in the first steps and left out when the monitor has taken more
    than `overhead` of the time.

    Args:
        directory: Folder for `record.jsonl`, or None to keep the record in memory.
        probe: Rows to look at, `(x, y)` arrays, a `Part`, or a dataset; the first 128
            are kept. Use training rows. None leaves activations and the loss in
            inference mode out.
        every: Int. Steps between two samples, after the first ones.
        overhead: Float in (0, 1]. Largest share of the time the monitor may take.

    Attributes:
        record: The `keras_practices.record.Record` of the last training.

    Raises:
        OSError: `directory` cannot be written.
        TypeError, ValueError: bad arguments.

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
        overhead: float = 0.05,
    ):
        super().__init__()
        self.every = check_integer(self, "every", every, low=1)
        self.overhead = check_number(
            self, "overhead", overhead, low=0, high=1, closed="right"
        )
        self.directory = directory
        self.record = Record(directory)
        self.broken = False
        self.extra_figures: dict[str, Any] = {}
        self._probe = None
        self._rows = 0
        if probe is not None:
            pair = probe if isinstance(probe, tuple) else (probe,)
            sample = take_sample(*pair, owner="TrainingMonitor", max_rows=PROBE_ROWS)
            self._probe = sample.head(PROBE_ROWS)
            self._rows = min(PROBE_ROWS, sample.rows)
            self._inputs = input_tensors(self._probe[0])

    # --- hooks ---------------------------------------------------------------

    def on_train_begin(self, logs=None):
        """Starts a new record and looks at the model before the first step."""
        self.broken = False
        self._begun = time.perf_counter()
        self._spent = 0.0
        self._begin()

    @guarded
    def _begin(self):
        with _Clock(self):
            if self.record.lines:
                self.record = Record(self.directory)
            self._step = 0
            self._epoch = 0
            self._pending = []
            self._next_sample = 0
            self._before = None
            self._batch_loss = BatchLoss()
            self._histograms_at = None
            self._loss_fault = None
            self.record.add(
                "start",
                schema=1,
                environment=measure_environment(),
                fit={
                    "epochs": self.params.get("epochs"),
                    "steps_per_epoch": self.params.get("steps"),
                },
                probe_rows=self._rows,
                figures=self.extra_figures,
            )
            self._add_layers(self.model, position=0.0)
            self._add_epoch(self.model, epoch=0, seconds=0.0, logs={})

    @guarded
    def on_epoch_begin(self, epoch, logs=None):
        """Notes where the epoch begins."""
        self._epoch = epoch
        self._epoch_begun = time.perf_counter()
        self._batch_loss.reset()

    @guarded
    def on_train_batch_begin(self, batch, logs=None):
        """Copies the kernels where this step is to be sampled."""
        if self._step >= self._next_sample:
            with _Clock(self):
                self._before = kernel_values(self.model)

    @guarded
    def on_train_batch_end(self, batch, logs=None):
        """Notes loss and rate; measures the step where it is sampled."""
        with _Clock(self):
            model = self.model
            loss = self._batch_loss.read(model, logs, batch)
            self._pending.append((batch + 1, loss, _rate_of(model)))
            self._step += 1
            if self._before is not None:
                self._add_sample(model, batch)
            if len(self._pending) >= STEPS_A_LINE:
                self._flush_steps(self.params.get("steps"))

    @guarded
    def on_epoch_end(self, epoch, logs=None):
        """Flushes the batch losses; measures the probe."""
        with _Clock(self):
            # Where the number of steps was not known, it is now.
            last = self._pending[-1][0] if self._pending else self._batch_loss.batches
            self._flush_steps(self.params.get("steps") or last)
            seconds = time.perf_counter() - self._epoch_begun
            self._add_epoch(self.model, epoch + 1, seconds, logs or {})
            # After epoch 1, 2, 4, 8, … and, in any case, at the end.
            if self._affordable() and (epoch + 1) & epoch == 0:
                self._add_histograms(self.model, epoch + 1)

    @guarded
    def on_train_end(self, logs=None):
        """Writes the last figures and closes the record."""
        with _Clock(self):
            model = self.model
            if self._histograms_at != self._epoch + 1:
                self._add_histograms(model, self._epoch + 1)
            self._add_layers(model, position=float(self._epoch + 1))
            kernel = first_kernel(model)
            if kernel is not None and kernel[1].size <= 100_000:
                name, values = kernel
                self.record.add(
                    "filters",
                    epoch=self._epoch + 1,
                    layer=name,
                    shape=values.shape,
                    values=values.astype("float64").round(5),
                )
        self.record.add(
            "end",
            status="completed",
            steps=self._step,
            seconds=time.perf_counter() - self._begun,
            monitor_seconds=self._spent,
        )
        self.record.close()

    # --- lines ---------------------------------------------------------------

    def _add_sample(self, model, batch):
        weights = measure_updates(self._before, kernel_values(model))
        self._before = None
        steps = self.params.get("steps") or batch + 1
        position = self._epoch + min(1, (batch + 1) / steps)
        layers = self._layers(model) if self._affordable() else {}
        self.record.add(
            "sample", step=self._step, epoch=position, weights=weights, layers=layers
        )
        self._next_sample = self._step_after()

    def _step_after(self):
        # Most diseases show in the first steps: 1, 2, 4, 8, …, then every `every`.
        gap = min(self.every, max(1, self._step))
        if not self._affordable():
            gap = max(gap, 10 * self.every)
        return self._step + gap - 1

    def _add_layers(self, model, position):
        layers = self._layers(model)
        if layers:
            self.record.add(
                "sample", step=self._step, epoch=position, weights={}, layers=layers
            )

    def _layers(self, model):
        if self._probe is None:
            return {}
        return measure_layers(run_captured(model, self._inputs)[1])

    def _add_epoch(self, model, epoch, seconds, logs):
        data, penalty = self._probe_losses(model)
        numbers = {
            key: float(value)
            for key, value in logs.items()
            if isinstance(value, int | float) or getattr(value, "ndim", 1) == 0
        }
        self.record.add(
            "epoch",
            epoch=epoch,
            step=self._step,
            seconds=seconds,
            logs=numbers,
            probe_loss=data,
            regularization_loss=penalty,
        )

    def _probe_losses(self, model):
        """Data loss and penalty on the probe, None where the loss cannot be had."""
        if self._probe is None or self._probe[1] is None or self._loss_fault:
            return None, None
        if not model.loss or has_custom_train_step(model):
            return None, None
        try:
            return measure_losses(model, *self._probe)
        except Exception as error:
            # Targets that do not fit the loss: `fit` is about to say so itself.
            self._loss_fault = first_line(error)
            self.record.add("fault", what="loss on the probe", why=self._loss_fault)
            return None, None

    def _add_histograms(self, model, epoch):
        if self._probe is None:
            return
        self._histograms_at = epoch
        _, calls = run_captured(model, self._inputs)
        for layer, (edges, counts) in measure_histograms(calls).items():
            self.record.add(
                "histogram", epoch=epoch, layer=layer, edges=edges, counts=counts
            )

    def _flush_steps(self, steps_per_epoch):
        if not self._pending or not steps_per_epoch:
            return
        batches, losses, rates = zip(*self._pending, strict=True)
        self.record.add(
            "steps",
            first=self._step - len(batches),
            # The last execution of several steps may name a batch past the end.
            epoch=[self._epoch + min(1, batch / steps_per_epoch) for batch in batches],
            loss=losses,
            learning_rate=rates,
        )
        self._pending = []

    def _affordable(self):
        elapsed = time.perf_counter() - self._begun
        return self._spent <= GRACE_SECONDS + self.overhead * elapsed


class _Clock:
    """Adds the time inside it to what the monitor has spent."""

    def __init__(self, monitor):
        self._monitor = monitor

    def __enter__(self):
        self._begun = time.perf_counter()

    def __exit__(self, *exception):
        self._monitor._spent += time.perf_counter() - self._begun


def _rate_of(model):
    """The rate of the last step; NaN where an optimizer has several."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    try:
        return float(keras.ops.convert_to_numpy(optimizer.learning_rate))
    except (AttributeError, TypeError, ValueError):
        return float("nan")
