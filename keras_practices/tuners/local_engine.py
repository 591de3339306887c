"""Runs a search in one process."""

import contextlib
import os
from typing import Any

from keras_practices.errors import UsageError
from keras_practices.tuners.engine import Engine
from keras_practices.tuners.engine import RunOne
from keras_practices.tuners.engine import next_proposal
from keras_practices.tuners.strategy import WAIT
from keras_practices.tuners.strategy import Strategy

LOCK_FILE = "search.lock"


class LocalEngine(Engine):
    """Runs the next trial that has no result, until there is none.

    Nothing is stored but the results: a search that was killed goes on at the trial
    that was running. A second process in the same folder is refused while the first
    one lives.
    """

    def run(self, strategy: Strategy, space: Any, run_one: RunOne) -> None:
        """Runs trials until none is left; see `Engine.run`."""
        with _only_one(self.folder.path):
            number = 0
            while True:
                results = self.folder.results()
                while number in results:
                    number += 1
                proposal = next_proposal(strategy, space, results, number)
                if proposal is None:
                    return
                if proposal is WAIT:
                    raise UsageError(
                        f"{type(strategy).__name__} waits for the result of another "
                        f"trial before number {number}, but no other is running. A "
                        "strategy may wait for smaller numbers only."
                    )
                run_one(proposal)


@contextlib.contextmanager
def _only_one(folder):
    """Holds a lock that the operating system frees when the process dies."""
    try:
        import fcntl
    except ImportError:  # Windows: two processes would do the same work twice
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(open(os.path.join(folder, LOCK_FILE), "a"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"Another process searches in {str(folder)!r} at this moment. Wait for "
                "it or end it; to search in several processes pass `storage`."
            ) from error
        except OSError:
            pass  # a drive without locks, a full disk: the search matters more
        yield
