"""How far a search is, read from its folder, and the lines that show it."""

import math
import os
import pathlib
import sys
import time
from typing import Any

from keras_practices.search_record import COMPLETED
from keras_practices.search_record import FAILED
from keras_practices.search_record import TrialResult
from keras_practices.search_record import read_json
from keras_practices.tuners.files import SearchFolder
from keras_practices.tuners.roles import ANNOUNCED_FILE


class Progress:
    """What the folder of a search tells; a result is read once.

    Args:
        state: Folder of the master, where a worker has told which search it works on.

    Attributes:
        folder: Folder of the search, or None as long as no worker has told.
        total: Trials that the search will have, or None where that is not known.
    """

    def __init__(self, state: str | os.PathLike[str]):
        self._announced = pathlib.Path(state) / ANNOUNCED_FILE
        self._search: SearchFolder | None = None
        self._count = 0
        self.folder: pathlib.Path | None = None
        self.total: int | None = None

    def read(self) -> bool:
        """Reads what is new; returns whether a trial has ended since the last look."""
        told = read_json(self._announced)
        if told is not None:
            if self._search is None or str(self.folder) != told["folder"]:
                self.folder = pathlib.Path(told["folder"])
                self._search = SearchFolder(self.folder)
            self.total = told["total"]
        before, self._count = self._count, len(self.results(refresh=True))
        return self._count > before

    def results(self, refresh: bool = False) -> dict[int, TrialResult]:
        """Returns how trials ended, by number."""
        if self._search is None:
            return {}
        return dict(self._search.results(refresh=refresh))

    def best(self) -> TrialResult | None:
        """Returns the best trial so far, or None."""
        head = (self._search.head() if self._search is not None else None) or {}
        sign = -1.0 if head.get("objective", {}).get("direction") == "max" else 1.0
        scored = [one for one in self.results().values() if one.has_score]
        return min(scored, key=lambda one: sign * float(one.score or 0), default=None)

    def figures(self) -> dict[str, Any]:
        """Returns `done`, `failed`, `ended_early`, `total` and `best`."""
        results = self.results().values()
        failed = sum(one.status == FAILED for one in results)
        completed = sum(one.status == COMPLETED for one in results)
        return {
            "done": len(results),
            "failed": failed,
            "ended_early": len(results) - failed - completed,
            "total": self.total,
            "best": self.best(),
        }


class Screen:
    """Shows progress: a table that renews itself, or lines where none can.

    Args:
        console: A console of rich's, or None for one on the standard output.
    """

    def __init__(self, console: Any = None):
        from rich.console import Console

        self._console = console or Console(file=sys.stdout)
        self._live: Any = None
        self._begin = time.monotonic()
        self._next = 0.0
        self._last = ""

    def __enter__(self):
        if self._console.is_terminal:
            from rich.live import Live

            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *error):
        if self._live is not None:
            self._live.stop()

    def is_due(self) -> bool:
        """Whether it is time for another look: about once a second."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + 1.0
        return True

    def show(self, progress: Progress, alive: int) -> None:
        """Shows how far a search is.

        Args:
            progress: The progress.
            alive: Workers of this machine.
        """
        figures = progress.figures()
        if self._live is not None:
            self._live.update(self._table(figures, alive), refresh=True)
            return
        line = _line(figures, alive)
        if line != self._last:
            self._last = line
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _table(self, figures, alive):
        from rich.table import Table

        table = Table()
        for name in ("trials", "failed", "ended early", "workers", "best", "time"):
            table.add_column(name)
        seconds = int(time.monotonic() - self._begin)
        table.add_row(
            _share(figures),
            str(figures["failed"]),
            str(figures["ended_early"]),
            str(alive),
            _best(figures["best"]),
            f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}",
        )
        return table


def _line(figures, alive):
    return (
        f"{_share(figures)} trials, {figures['failed']} failed, "
        f"{figures['ended_early']} ended early, {alive} workers, "
        f"best {_best(figures['best'])}"
    )


def _share(figures):
    total = figures["total"]
    return str(figures["done"]) if total is None else f"{figures['done']} of {total}"


def _best(result):
    if result is None or not math.isfinite(result.score):
        return "none yet"
    return f"{result.score:.6g} (trial {result.trial})"
