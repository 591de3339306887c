"""What a monitor has cost so far, and whether it can afford more."""

import contextlib
import math
import time

# Seconds that the monitor may take before its share of the time counts: what it does
# once an epoch is not left out of a training of seconds, and neither are the first
# samples, which show most diseases.
GRACE_SECONDS = 0.5
GRACE_OF_SAMPLES = 0.05
# Part of the allowed share that goes into samples; the rest is for what comes at every
# step and once an epoch.
SAMPLES_PART = 0.5


class Budget:
    """Counts the monitor's own seconds beside those of the training.

    Args:
        overhead: Float in (0, 1]. Largest share of the time; 1 is no limit.

    Attributes:
        compile_seconds: Seconds of compilation, once in a training and no part of
            the share.
    """

    def __init__(self, overhead):
        self._overhead = overhead
        self._begun = time.perf_counter()
        self._own = 0.0
        self._function = None
        self.compile_seconds = 0.0

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
        function = self._function
        if function is None:
            return self._own
        extra = (function.seconds_a_sample or 0.0) * function.samples
        return self._own + function.seconds + extra

    @property
    def compiled(self):
        """Seconds of compilation."""
        function = self._function
        return self.compile_seconds + (function.compile_seconds if function else 0.0)

    @property
    def share(self):
        """Seconds spent for each second of the training without us."""
        alone = self.elapsed - self.spent - self.compiled
        return self.spent / alone if alone > 0 else 0.0

    @property
    def affordable(self):
        """True while the monitor is within its share of the time."""
        return self._within(GRACE_SECONDS)

    @property
    def affords_samples(self):
        """True while steps may be sampled as often as was asked for."""
        return self._within(GRACE_OF_SAMPLES)

    @property
    def steps_a_sample(self):
        """Steps from one sample to the next that pay for it, 0 while all is free."""
        ratio = self._function.sample_ratio if self._function else None
        free = self._overhead == 1 or self.spent <= GRACE_OF_SAMPLES
        if ratio is None or free:
            return 0
        return math.ceil(ratio / (SAMPLES_PART * self._overhead))

    def _within(self, grace):
        return self.spent <= grace + self._overhead * self.elapsed
