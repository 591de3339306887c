"""Which weights of a search stay on the disk."""

import errno
import os
import warnings
from collections.abc import Mapping
from typing import Any

from keras_practices.errors import KerasPracticesWarning
from keras_practices.errors import first_line
from keras_practices.search_record import TrialResult
from keras_practices.tuners.files import SearchFolder

FULL = (errno.ENOSPC, errno.EDQUOT)


class KeptWeights:
    """Deletes the weights of all but the best trials of a stage.

    The files are the state. Of a search in several processes each deletes what it
    knows to be too much; a file that is gone already is no fault.

    Args:
        folder: The folder of the search.
        direction: `"min"` or `"max"`.
        keep: Trials of a stage that keep their weights, or None for all.
        max_bytes: Bytes that all weights may take, or None.
    """

    def __init__(
        self, folder: SearchFolder, direction: str, keep: int | None, max_bytes: Any
    ):
        self._folder = folder
        self._sign = 1.0 if direction == "min" else -1.0
        self._keep = keep
        self._max_bytes = max_bytes
        # Of each stage `(rank, trial, path)`, the best first.
        self._holders: dict[int, list[tuple[float, int, str]]] = {}
        self._seen: set[int] = set()
        self._warned = False

    def update(self, results: Mapping[int, TrialResult]) -> None:
        """Looks at results that are new, and deletes what is too much by now."""
        for number in sorted(results.keys() - self._seen):
            self._seen.add(number)
            result = results[number]
            path = self.path_of(result)
            if path is None:
                continue
            score = result.score if result.has_score else None
            rank = float("inf") if score is None else self._sign * score
            holders = self._holders.setdefault(result.stage, [])
            holders.append((rank, number, path))
            holders.sort()
            while self._keep is not None and len(holders) > self._keep:
                _remove(holders.pop()[2])

    def path_of(self, result: TrialResult) -> str | None:
        """Returns where the weights of a trial lie, or None where they do not."""
        if result.checkpoint is None:
            return None
        path = os.path.join(self._folder.path, result.checkpoint)
        return path if os.path.exists(path) else None

    def make_room(self) -> bool:
        """Deletes the worst weights there are; says whether there were any.

        Those of an early stage go first: later stages were trained for longer.
        """
        found = self._pop_worst()
        if found:
            self.warn("weights of the worst trials were deleted")
        return found

    def reserve(self, size: int) -> bool:
        """Deletes weights until `size` bytes more are within the limit.

        Returns:
            Whether they are; False where they are too much alone.
        """
        if self._max_bytes is None:
            return True
        while self._used() + size > self._max_bytes:
            if not self._pop_worst():
                return False
        return True

    def warn(self, what: Any) -> None:
        """Says once a search that weights are lost, and that results are not."""
        if self._warned:
            return
        self._warned = True
        why = first_line(what) if isinstance(what, Exception) else what
        warnings.warn(
            f"The disk of the search in {str(self._folder.path)!r} is full: {why}. The "
            "search goes on and its results stay, but weights of some trials are "
            "missing.",
            KerasPracticesWarning,
            stacklevel=2,
        )

    def _pop_worst(self):
        for stage in sorted(self._holders):
            if self._holders[stage]:
                _remove(self._holders[stage].pop()[2])
                return True
        return False

    def _used(self):
        paths = [one[2] for holders in self._holders.values() for one in holders]
        return sum(_size(path) for path in paths)


def remove_weights(folder: str | os.PathLike[str]) -> None:
    """Deletes the weights that an attempt left in its folder."""
    for item in os.scandir(folder):
        if item.name.endswith(".weights.h5"):
            _remove(item.path)


def _remove(path):
    try:
        os.remove(path)
    except FileNotFoundError:
        pass


def _size(path):
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0
