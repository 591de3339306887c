"""Starts the workers of one machine, watches and replaces them, shows progress."""

import os
import pathlib
import signal
import sys
import time
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

from keras_practices.tuners import roles
from keras_practices.tuners.progress import Progress
from keras_practices.tuners.progress import Screen
from keras_practices.tuners.slots import Slot

INTERRUPTED = 130


class Master:
    """Keeps a number of workers of one search alive until it has ended.

    It knows nothing that is not on the disk: killed at any moment, it leaves its
    workers running, and the next master counts them in and goes on. So does a second
    one at the same time: both together never have more workers than places. Ctrl-C
    and SIGTERM end the workers too, whose trials are free again at once.

    Args:
        command: Program and arguments of one worker.
        state: Folder for locks and logs, of this search on this machine.
        workers: Integer of at least 1. Places for workers.
        environment: Variables for every worker, besides those of this process.
        gpus: Names for `CUDA_VISIBLE_DEVICES`, one a place in turn, or None.
        max_deaths: Integer of at least 1. So many workers in a row that die without
            a new result of anyone's end the master.
        each: Called with the `Progress` about once a second, and at the end.

    Attributes:
        last_wait: Seconds that the others get to end once one worker said that the
            search has ended.
    """

    def __init__(
        self,
        command: Sequence[str],
        state: str | os.PathLike[str],
        workers: int = 1,
        environment: Mapping[str, str] | None = None,
        gpus: Sequence[str] | None = None,
        max_deaths: int = 10,
        each: Callable[[Progress], None] | None = None,
    ):
        self.command = list(command)
        self.state = pathlib.Path(state)
        self.environment = dict(environment or {})
        self.last_wait = 10.0
        self.gpus = gpus
        self.max_deaths = max_deaths
        self._each = each or (lambda progress: None)
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.slots = [Slot(self.state, number) for number in range(workers)]
        self.progress = Progress(self.state)
        self._deaths = 0
        self._start_after = 0.0
        self._verdict: int | None = None

    def run(self, pause: float = 0.25) -> int:
        """Works until the search has ended.

        Args:
            pause: Seconds between two looks at the workers.

        Returns:
            Exit status: 0 where every trial has a result, 1 where workers die again
            and again, 2 or 3 as a worker said (wrong use, all trials fail), 130 after
            Ctrl-C or SIGTERM.
        """
        before = signal.signal(signal.SIGTERM, _interrupt)
        screen = Screen()
        try:
            with screen:
                while self._verdict is None:
                    self._look()
                    self._show(screen)
                    if self._verdict is None:
                        time.sleep(pause)
                # Who has seen that nothing is left speaks for all; what others may
                # still train has a result already.
                self._end_workers(self.last_wait)
                self._show(screen, is_last=True)
        except KeyboardInterrupt:
            self._end_workers(0.0)
            return INTERRUPTED
        finally:
            signal.signal(signal.SIGTERM, before)
        return self._verdict

    def _look(self):
        for slot in self.slots:
            status = slot.status()
            if status is not None:
                self._judge(slot, status)
        if self._verdict is None and time.monotonic() >= self._start_after:
            for slot in self.slots:
                if slot.child is None:
                    slot.start(self.command, self._environment(slot))

    def _judge(self, slot, status):
        if status == roles.FRESH_PROCESS:
            return
        if status == roles.NOTHING_LEFT:
            self._verdict = 0
        elif status in (roles.WRONG_USE, roles.SEARCH_FAILED):
            self._verdict = status
            sys.stderr.write(f"{slot.last_words()}\n")
        elif self.progress.read():
            self._deaths = 0
        else:
            self._deaths += 1
            # The first one is replaced at once.
            self._start_after = time.monotonic() + min(30, 2**self._deaths - 2)
            if self._deaths >= self.max_deaths:
                self._verdict = 1
                sys.stderr.write(
                    f"{self._deaths} workers in a row ended without a result; the last "
                    f"one with status {status}. The end of {slot.log}:\n"
                    f"{slot.last_words()}\n"
                )

    def _environment(self, slot):
        given = {**os.environ, **self.environment}
        if self.gpus:
            given["CUDA_VISIBLE_DEVICES"] = self.gpus[slot.number % len(self.gpus)]
        return given

    def _show(self, screen, is_last=False):
        if screen.is_due() or is_last:
            if self.progress.read():
                self._deaths = 0
            alive = sum(slot.is_taken() for slot in self.slots)
            screen.show(self.progress, alive)
            self._each(self.progress)

    def _end_workers(self, patience, deadline=15.0):
        """Waits for them to end, then asks, then makes them."""
        for seconds, number in (
            (patience, signal.SIGTERM),
            (deadline, signal.SIGKILL),
            (1.0, None),
        ):
            end = time.monotonic() + seconds
            while any(self._is_alive(slot) for slot in self.slots):
                if time.monotonic() >= end:
                    break
                time.sleep(0.05)
            for slot in self.slots:
                if number is not None and self._is_alive(slot):
                    slot.signal(number)

    def _is_alive(self, slot):
        slot.status()  # takes leave of a child that has ended
        return slot.is_taken()


def _interrupt(number, frame):
    raise KeyboardInterrupt
