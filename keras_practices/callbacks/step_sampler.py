"""Decides which steps are sampled, and writes what they gave into the record."""

import time

from keras_practices._core.train_function import WatchedFunction
from keras_practices.callbacks.step_log import StepLog
from keras_practices.measures.capture import open_layers
from keras_practices.measures.capture import rematerialized
from keras_practices.measures.step_catch import ACTIVATION_ROWS
from keras_practices.measures.step_figures import StepFigures

# Steps between two lines of batch losses in the record, samples that are written
# together, and seconds after which what there is is written.
STEPS_A_LINE = 200
SAMPLES_A_BLOCK = 8
SECONDS_A_LINE = 2.0
# Newest steps that are not asked for their loss: the device may still compute them.
IN_FLIGHT = 4
# Times the distance of samples when the monitor is over its budget and does not know
# yet what a sample costs.
SHED = 10
# Samples whose gradients are kept for the next histogram.
GRADIENT_SAMPLES = 40
# Steps that are held back in a first epoch of unknown length, for their position in
# epochs to be known.
HELD = 1000


class StepSampler:
    """Listens to a watched train function for one `fit`.

    Lines are written in blocks: between two steps of the model, whose weights have
    filled the processor's cache, the same work takes several times as long.

    Args:
        model: The model in `fit`.
        record: Where lines go.
        every: Steps between two samples, after the first ones.
        budget: A `Budget`.
        steps_per_epoch: Int, or None where `fit` does not know.
        on_lost: Function `(what, error)`, for figures that cannot be had.
        on_failed: Function `(error)`, for a fault that ends all of it.
    """

    def __init__(
        self, model, record, *, every, budget, steps_per_epoch, on_lost, on_failed
    ):
        self.lost, self.failed = on_lost, on_failed
        self.steps = 0
        self.epoch = 0
        self.batches = 0
        self.latest = {}
        self.gradients = {}
        self._log = StepLog(model)
        self._record = record
        self._every = every
        self._budget = budget
        self._steps_per_epoch = steps_per_epoch
        self._execution = max(1, getattr(model, "steps_per_execution", 1) or 1)
        self._next_sample = 0
        self._samples = []
        self._active = {}
        self._window_rows = 0
        self._written = time.perf_counter()
        # Anything that can fail comes before the model is touched.
        self.function = WatchedFunction.join(model, self, StepFigures)
        budget.watch(self.function)
        hidden = rematerialized(model)
        names = [layer.name for layer in open_layers(model) if id(layer) in hidden]
        if names:
            record.add(
                "fault",
                what=f"activations of the layers {', '.join(names)}",
                why="Their forward pass is run again inside the gradient (RematScope).",
            )

    # --- what the train function tells ---------------------------------------

    def steps_to_sample(self):
        """Writes what is due; number of steps before the next that is to be sampled."""
        self._write_due()
        ahead = self._next_sample - self.steps
        if ahead > 0:
            return ahead
        # The last batch of an epoch is mostly a smaller one, and another shape would
        # be another compilation.
        known = self._steps_per_epoch
        several = known and known > self._execution
        return int(bool(several and self.batches + self._execution >= known))

    def steps_left(self):
        """Number of steps to the end of the epoch, None where nobody knows."""
        if not self._steps_per_epoch:
            return None
        return -(-(self._steps_per_epoch - self.batches) // self._execution)

    def took_step(self, step, figures):
        """Notes a step."""
        self.steps += 1
        executed = self._execution
        if self._steps_per_epoch:
            # The last execution of several steps may have fewer.
            executed = max(1, min(executed, self._steps_per_epoch - self.batches))
        self.batches += executed
        if step.loss is None:
            self.lost("losses of the steps", 'The train step returns no "loss".')
        else:
            self._log.add(step, self.batches, executed)
        if step.vector is not None:
            self._samples.append((self.steps, self.batches, step.vector, figures))
            self._next_sample = self._step_after()

    def _write_due(self):
        """Writes in blocks, and nothing that the device may still compute."""
        now = time.perf_counter()
        samples, steps = len(self._samples), len(self._log)
        late = now - self._written > SECONDS_A_LINE
        if samples > SAMPLES_A_BLOCK or (samples > 1 and late):
            self._write_samples(keep=1)
        if steps >= STEPS_A_LINE + IN_FLIGHT or (steps > IN_FLIGHT and late):
            self._write_steps(keep=IN_FLIGHT if late else steps - STEPS_A_LINE)
        if late:
            self._written = now

    def _step_after(self):
        # Most diseases show in the first steps: 1, 2, 4, 8, …, then every `every`.
        gap, pays = min(self._every, max(1, self.steps)), self._budget.steps_a_sample
        if not self._budget.affords_samples:
            gap = max(gap, pays or SHED * self._every)
        elif gap == self._every:
            gap = max(gap, pays)
        return self.steps + gap - 1

    # --- epochs ----------------------------------------------------------------

    def begin_epoch(self, epoch):
        """Begins an epoch: losses are means over it, inactive units counted in it."""
        self.epoch, self.batches = epoch, 0
        self._active, self._window_rows = {}, 0
        self._log.begin_epoch()

    def flush(self):
        """Writes everything that is known."""
        self.function.deliver()
        # Where the number of steps was not known, it is now.
        self._steps_per_epoch = self._steps_per_epoch or self.batches
        self._write_samples()
        self._write_steps()

    def interrupted(self):
        """Writes what is known when an exception ends the training."""
        self.flush()
        self._record.close()

    def leave(self):
        """Takes the watch off the model."""
        self.function.leave(self)

    # --- lines -----------------------------------------------------------------

    def _position(self, batches):
        """Position in epochs, None while it is worth waiting for."""
        steps = self._steps_per_epoch
        if steps:
            # The last execution of several steps may count batches past the end.
            return round(self.epoch + min(1.0, batches / steps), 9)
        if self.batches < HELD:
            return None
        return self.epoch + batches / (batches + HELD)

    def _write_steps(self, keep=0):
        if self._position(1) is None:
            return
        first = self.steps - len(self._log)
        places, losses, rates = self._log.take(keep)
        if not places:
            return
        self._record.add(
            "steps",
            first=first,
            epoch=[self._position(place) for place in places],
            loss=[short(loss) for loss in losses],
            learning_rate=shorts(rates),
        )

    def _write_samples(self, keep=0):
        if self._position(1) is None:
            return
        count = len(self._samples) - keep
        samples, self._samples = self._samples[:count], self._samples[count:]
        for sample in samples:
            self._write_sample(*sample)

    def _write_sample(self, number, batches, vector, figures):
        weights, layers, gradients = figures.read(vector)
        self._window_rows += ACTIVATION_ROWS
        for name, found in layers.items():
            active = found.pop("active", None)
            if active is not None:
                known = self._active.get(name)
                self._active[name] = active if known is None else known | active
                found["inactive"] = float(1 - self._active[name].mean())
        for path, entries in gradients.items():
            kept = self.gradients.setdefault(path, [])
            kept.append(entries.astype("float32"))
            if len(kept) > GRADIENT_SAMPLES:
                del kept[::2]
        self.latest = weights
        self._record.add(
            "sample",
            step=number,
            epoch=self._position(batches),
            rows=ACTIVATION_ROWS,
            window_rows=self._window_rows,
            weights=short_table(weights),
            layers=short_table(layers),
        )


def short_table(table):
    """Figures of a table with seven digits each."""
    return {
        name: {key: short(value) for key, value in figures.items()}
        for name, figures in table.items()
    }


def shorts(values):
    """Floats, many of them equal, with seven digits each."""
    known = {value: short(value) for value in set(values)}
    return [known[value] for value in values]


def short(value):
    """A float with seven digits, as many as float32 has; anything else as it is."""
    return float(f"{value:.7g}") if isinstance(value, float) else value
