"""Times some steps, sampled and plain, to know what a sample costs."""

import statistics

# Pairs of a sampled and a plain step that are timed, and how many of them are kept.
_FIRST = 5
_EVERY = 40
_KEPT = 9


class StepTimes:
    """Medians of the seconds of sampled and of plain steps.

    A step that is timed is waited for, so few of them are: the first samples and some
    later ones, each with the plain step behind it.

    Attributes:
        compile_seconds: Seconds of the first sampled step, which compiles.
    """

    def __init__(self):
        self.compile_seconds = 0.0
        self._called = set()
        self._seconds = {True: [], False: []}
        self._next = False

    def compiled_before(self):
        """Notes that the sampled step was compiled in an earlier `fit`."""
        self._called.add(True)

    def is_first(self, sampled):
        """Whether no such step was taken yet."""
        return sampled not in self._called

    def wants(self, sampled, samples):
        """Whether the next step is to be timed, after so many samples."""
        if self.is_first(sampled):
            return False  # it compiles
        if sampled:
            self._next = samples <= _FIRST or samples % _EVERY == 0
            return self._next
        wanted, self._next = self._next, False
        return wanted

    def note(self, sampled, timed, seconds):
        """Notes what a step took."""
        if timed:
            self._seconds[sampled].append(seconds)
            del self._seconds[sampled][:-_KEPT]
        elif sampled and self.is_first(True):
            self.compile_seconds = seconds
        self._called.add(sampled)

    @property
    def of_a_sample(self):
        """Seconds that a sample takes more than a plain step, None while not known."""
        sampled, plain = self._seconds[True], self._seconds[False]
        if not sampled or not plain:
            return None
        return max(0.0, statistics.median(sampled) - statistics.median(plain))

    @property
    def ratio(self):
        """What a sample adds to a plain step, as its multiple; None while not known."""
        extra, plain = self.of_a_sample, self._seconds[False]
        return None if extra is None else extra / max(statistics.median(plain), 1e-9)
