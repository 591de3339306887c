"""Weights of steps that nobody read, as they follow from those that were."""

import math

# Steps of one weight and one rate, read one by one, before others are not read.
ALIKE = 32


class AlikeSteps:
    """Learning rate and count of the mean loss at steps where they are not read.

    To read a variable costs TensorFlow more than all else that is done at a step, and
    in most trainings all batches of an epoch but the last have one size. After some
    steps of one size the next ones are not read, and `between` looks whether their
    sizes add up. Where they do not, each of these steps gets the mean loss of them all,
    and from there on every step is read. So it is with a rate that changes inside an
    epoch: what was not read has the rate from before.

    Args:
        read_count: Function that returns the count of the mean as it is now, a float.

    Attributes:
        rate: The rate that was last read, float or None.
    """

    def __init__(self, read_count):
        self._read_count = read_count
        self._mean = self._count = 0.0
        self._rows = self.rate = None
        self._first = self._same_rate = False
        self._alike = 0
        self._before = None

    @property
    def sure(self):
        """Whether the next steps need not be read."""
        return self._alike >= ALIKE

    def begin(self, total, count):
        """Notes the mean before a step, after somebody may have written it."""
        self._mean, self._count = total / count if count else 0.0, count
        # An epoch may begin: the last batch of one tells nothing of the next, and
        # between them callbacks set their rates.
        self._first = True
        if self._before is not None:
            self._alike, self._rows = self._before

    def read(self, rate):
        """Notes the rate of the step that comes."""
        self._same_rate = self._first or rate == self.rate
        if self.sure and not self._same_rate:
            self._alike = -math.inf
        self.rate, self._first = rate, False

    def count(self, mean):
        """Returns the count after that step, whose mean loss this is."""
        count = self._read_count()
        rows = count - self._count
        usual = rows == self._rows
        self._before = None if usual else (self._alike, self._rows)
        alike = usual and self._same_rate
        self._alike = self._alike + 1 if alike else min(self._alike, 0)
        self._mean, self._count, self._rows = mean, count, rows
        return count

    def between(self, means):
        """Returns `(mean, count)` after each step since the last that was read.

        Args:
            means: Mean loss after each of them, floats; at least one.
        """
        steps, count = len(means), self._read_count()
        if count == self._count + steps * self._rows:
            counts = [self._count + self._rows * n for n in range(1, steps + 1)]
            known = list(zip(means, counts, strict=True))
        else:
            self._alike = -math.inf
            known = self._spread(steps, means[-1], count)
        self._mean, self._count = means[-1], count
        return known

    def _spread(self, steps, mean, count):
        old = (self._mean * self._count, self._count)
        if count <= self._count:
            old = (0.0, 0.0)  # somebody has reset the metric
        gained = mean * count - old[0], count - old[1]
        sums, counts = (
            [begun + more * n / steps for n in range(1, steps + 1)]
            for begun, more in zip(old, gained, strict=True)
        )
        return [(s / c if c else s, c) for s, c in zip(sums, counts, strict=True)]
