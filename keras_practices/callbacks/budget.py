"""What a monitor has cost so far, and whether it can afford more."""

import contextlib
import math
import time

# Seconds that are free: what the monitor does once an epoch is not left out of a
# training of seconds, and neither are the first samples, which show most diseases.
GRACE_OF_EPOCHS = 0.2
GRACE_OF_SAMPLES = 0.05
# Part of the allowed share that is planned for: what the monitor throws out of the
# processor's cache the model pays for, and no clock of ours sees it.
PLANNED_PART = 0.4
# Parts of it that samples get, and what is done once an epoch, however much else there
# is to do.
LEAST_OF_SAMPLES = 0.05
LEAST_OF_EPOCHS = 0.4


class Budget:
    """Counts the monitor's own seconds beside those of the training.

    Args:
        overhead: Float in (0, 1]. Largest share of the time; 1 is no limit.

    Attributes:
        compile_seconds: Seconds of compilation, once in a training and no part of
            the share.
        ahead: Seconds that what is done at the end will take, as far as is known:
            samples leave them over.
    """

    def __init__(self, overhead):
        self._overhead = overhead
        self._begun = time.perf_counter()
        self._own = 0.0
        self._function = None
        self.compile_seconds = 0.0
        self.ahead = 0.0

    def watch(self, function):
        """Counts what a `WatchedFunction` costs as well."""
        self._function = function

    @contextlib.contextmanager
    def spending(self, *, compiling=False):
        """Adds the time inside to what was spent."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - begun
            if compiling:
                self.compile_seconds += seconds
            else:
                self._own += seconds

    @property
    def elapsed(self):
        """Seconds since training began."""
        return time.perf_counter() - self._begun

    @property
    def spent(self):
        """Seconds the monitor has taken, compilation left out."""
        return self._own + self._at_steps

    @property
    def _at_steps(self):
        function = self._function
        return function.seconds + self._in_samples if function else 0.0

    @property
    def _in_samples(self):
        function = self._function
        return (function.seconds_a_sample or 0.0) * function.samples

    @property
    def compiled(self):
        """Seconds of compilation."""
        function = self._function
        return self.compile_seconds + (function.compile_seconds if function else 0.0)

    @property
    def _alone(self):
        """Seconds that the training has taken by itself."""
        return self.elapsed - self.spent - self.compiled

    @property
    def share(self):
        """Seconds spent for each second of the training without us."""
        return self.spent / self._alone if self._alone > 0 else 0.0

    def affords(self, seconds=0.0, *, done=1.0):
        """Whether something once an epoch that takes so long stays within the share.

        Args:
            seconds: What it takes.
            done: Float in [0, 1]. Part of the epochs that is over: half of what is
                free is kept for those to come.

        Returns:
            True or False.
        """
        if self._overhead == 1:
            return True
        share = self._overhead * self._of_training
        left = max(LEAST_OF_EPOCHS * share, PLANNED_PART * share - self._at_steps)
        free = GRACE_OF_EPOCHS * (1 + done) / 2
        return self._own + seconds <= free + left

    @property
    def affords_samples(self):
        """True while steps may be sampled as often as was asked for."""
        return self._at_steps <= GRACE_OF_SAMPLES + self._overhead * self._of_training

    @property
    def steps_a_sample(self):
        """Steps from one sample to the next that pay for it, 0 while all is free.

        Samples get what is left of the share when all else is paid: what comes at
        every step, once an epoch and at the end.
        """
        ratio = self._function.sample_ratio if self._function else None
        free = self._overhead == 1 or self._at_steps <= GRACE_OF_SAMPLES
        if ratio is None or free or self._alone <= 0:
            return 0
        rest = (self.spent - self._in_samples + self.ahead) / self._alone
        left = max(
            LEAST_OF_SAMPLES * self._overhead, PLANNED_PART * self._overhead - rest
        )
        return math.ceil(ratio / left)

    @property
    def _of_training(self):
        return self.elapsed - self.compiled
