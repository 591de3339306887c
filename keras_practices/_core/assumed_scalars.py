"""Rate and weight of a step, assumed at most steps and checked at some."""

import math

# Steps that were alike, read one by one, before the next ones are assumed to be.
ALIKE = 32


class AssumedScalars:
    """Learning rate and count of the mean loss, without reading them at each step.

    To read two variables costs TensorFlow more than all else that is done at a step.
    Most trainings keep their rate until somebody assigns another, which is heard of,
    and have batches of one size but for the last one of an epoch. After some steps of
    that kind the next ones are assumed to be like them, and `checked` compares with
    what is true. Where that is something else, what was assumed becomes NaN, and from
    there on every step is read.

    Args:
        variable: `keras.Variable` of the rate, or None.
        read_rate: Function that returns the rate as a float.
        read_count: Function that returns the count as a float.
    """

    def __init__(self, variable, read_rate, read_count):
        self._variable = variable
        self._read_rate, self._read_count = read_rate, read_count
        self._rate = self._count = self._rows = None
        self._alike = 0
        self._assumed = 0
        self._written = True
        self._hook = None

    def begin(self, count):
        """Notes the count before the next step, after somebody may have written it."""
        self._count = count

    def rate(self):
        """Returns the rate of the step that comes, None without a variable."""
        if self._variable is None:
            return None
        if self._hook is None:
            self._listen()
        if self._written or not self.sure:
            found = self._read_rate()
            if found != self._rate and not self._written:
                self._distrust()
            self._rate, self._written = found, False
        return self._rate

    @property
    def sure(self):
        """Whether the next step is assumed to be like the last ones."""
        return self._alike >= ALIKE

    def note(self, loss):
        """Returns `((loss, count, True), rate)` of a step that is assumed."""
        self._assumed += 1
        self._count += self._rows
        return (loss, self._count, True), self.rate() if self._written else self._rate

    def count(self):
        """Returns the count after the step that was taken."""
        if self.sure:
            self._assumed += 1
            self._count += self._rows
            return self._count
        count = self._read_count()
        rows = None if self._count is None else count - self._count
        self._alike = self._alike + 1 if rows == self._rows and rows else 0
        self._count, self._rows = count, rows
        return count

    def checked(self, notes, ended):
        """Returns the notes of the last steps, with NaN for what was not as assumed.

        Args:
            notes: List of `((loss, count, cumulative), rate)`, the newest last.
            ended: Bool. Whether an epoch may have ended with these steps, and so the
                last batch may have been a smaller one.
        """
        assumed, self._assumed = self._assumed, 0
        if not assumed:
            return notes
        expected, count = self._count, self._read_count()
        self._count = count
        rates = [rate for _, rate in notes[-assumed:]]
        counts = [count for (_, count, _), _ in notes[-assumed:]]
        if count != expected:
            short = ended and 0 < expected - count < self._rows
            if not short:
                counts = [math.nan] * assumed
                self._distrust()
            counts[-1] = count
        # What was assigned since the last step says nothing of the steps before it.
        if self._variable is not None and not self._written:
            if self._read_rate() != self._rate:
                rates = [math.nan] * assumed
                self._distrust()
        late = [
            ((loss, count, cumulative), rate)
            for ((loss, _, cumulative), _), count, rate in zip(
                notes[-assumed:], counts, rates, strict=True
            )
        ]
        return notes[:-assumed] + late

    def close(self):
        """Takes the hook off the variable."""
        if self._hook and self._variable.__dict__.get("assign") is self._hook:
            del self._variable.assign

    def _listen(self):
        original = self._variable.assign

        def assign(value):
            self._written = True
            return original(value)

        self._hook = self._variable.assign = assign

    def _distrust(self):
        """Reads every step from here on."""
        self._alike = -math.inf
