"""The places of a machine's workers, each held by a lock that dies with its worker."""

import contextlib
import fcntl
import os
import pathlib
import signal
import subprocess
from collections.abc import Mapping
from collections.abc import Sequence

# A worker finds the lock that its master handed it here.
LOCK = "KERAS_PRACTICES_SEARCH_LOCK"


class Slot:
    """One place for a worker.

    The lock is taken before the worker starts and handed on to it, so there is no
    moment in which a second master could fill the same place; the system opens it
    when the worker ends, however it ends. So a master that comes later counts the
    workers of one that was killed, and no number of a process is trusted that
    could have been given to another one since.

    Args:
        folder: Folder of the master.
        number: From 0.
    """

    def __init__(self, folder: str | os.PathLike[str], number: int):
        self.number = number
        self.path = pathlib.Path(folder) / f"worker-{number}.lock"
        self.log = pathlib.Path(folder) / f"worker-{number}.log"
        self.child: subprocess.Popen[bytes] | None = None

    def is_taken(self) -> bool:
        """Whether a worker lives in it, of this master or of one before."""
        lock = self._take()
        if lock is None:
            return True
        os.close(lock)
        return False

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> bool:
        """Starts a worker in it, unless one lives there.

        Args:
            command: Program and arguments.
            environment: All variables of the worker.

        Returns:
            Whether it was started.
        """
        lock = self._take()
        if lock is None:
            return False
        try:
            with open(self.log, "ab") as log:
                self.child = subprocess.Popen(
                    list(command),
                    env={**environment, LOCK: str(lock)},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    # It outlives its master, and Ctrl-C reaches the master only.
                    start_new_session=True,
                    pass_fds=(lock,),
                )
            os.truncate(lock, 0)
            os.pwrite(lock, str(self.child.pid).encode(), 0)
        finally:
            os.close(lock)  # the worker holds it now
        return True

    def status(self) -> int | None:
        """Returns how a worker that this master started ended, once; else None."""
        if self.child is None:
            return None
        status = self.child.poll()
        if status is not None:
            self.child = None
        return status

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Sends a signal to the worker that lives in it, whoever started it."""
        if not self.is_taken():
            return
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(self.path.read_text()), number)

    def last_words(self, lines: int = 15) -> str:
        """Returns the end of the worker's log."""
        try:
            text = self.log.read_bytes()[-8192:].decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.rstrip().split("\n")[-lines:])

    def _take(self):
        lock = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        except BaseException:
            os.close(lock)
            raise
        return lock


def keep_lock() -> None:
    """Keeps the lock that a master handed on to this process only.

    A data loader that the worker forks, and that outlives it, would hold it as well.
    """
    given = os.environ.pop(LOCK, None)
    if given is None:
        return
    lock = int(given)
    os.set_inheritable(lock, False)

    def close():
        with contextlib.suppress(OSError):
            os.close(lock)

    os.register_at_fork(after_in_child=close)
