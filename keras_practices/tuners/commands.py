"""What `python -m keras_practices search worker | master | launch` do."""

import hashlib
import json
import os
import pathlib
import signal
import sys
from collections.abc import Callable
from collections.abc import Sequence

from keras_practices._core.validation import check_integer
from keras_practices._core.validation import value_error
from keras_practices.errors import ArgumentValueError
from keras_practices.errors import SearchFailedError
from keras_practices.tuners import roles
from keras_practices.tuners.launch import Job
from keras_practices.tuners.master import Master
from keras_practices.tuners.progress import Progress
from keras_practices.tuners.slots import keep_lock
from keras_practices.tuners.storages import masked

OWNER = "search"


def worker(
    script: str,
    arguments: Sequence[str],
    run_script: Callable[[str, list[str]], None],
    storage: str | None = None,
    trials: int | None = None,
) -> int:
    """Runs a script as a worker: its first `search` ends the process.

    Args:
        script: Python file that makes a tuner and calls `search`.
        arguments: What the file finds in `sys.argv[1:]`.
        run_script: Function that runs it.
        storage: URL of the database, or None for what the environment or the script
            says.
        trials: Trials after which the process ends with status 75, or None.

    Returns:
        Exit status: 0 where every trial has a result, 3 where all trials fail, 75
        where a fresh process shall go on, 143 after SIGTERM, 2 where the script called
        no `search`; another one is the script's own.
    """
    _check_script(script)
    if storage is not None:
        masked(storage)
    if trials is not None:
        check_integer(OWNER, "--trials", trials, low=1)
    keep_lock()
    given = roles.environment(storage=storage, trials=trials)
    kept = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    before = signal.signal(signal.SIGTERM, _end)
    try:
        run_script(script, list(arguments))
    except roles.SearchEnded:
        return roles.NOTHING_LEFT
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if status and not isinstance(stop.code, int):
            sys.stderr.write(f"{stop.code}\n")
        if status:
            return status
    except SearchFailedError as error:
        sys.stderr.write(f"{error}\n")
        return roles.SEARCH_FAILED
    finally:
        signal.signal(signal.SIGTERM, before)
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    sys.stderr.write(
        f"{script} ended without a search. A worker runs a script that calls "
        "`search` of a tuner of keras_practices.\n"
    )
    return roles.WRONG_USE


def master(
    script: str,
    arguments: Sequence[str],
    *,
    workers: int | None = None,
    gpus: str | None = None,
    storage: str | None = None,
    recycle_after: int | None = None,
    state: str | None = None,
    each: Callable[[Progress], None] | None = None,
) -> int:
    """Keeps workers of a script alive until its search has ended.

    Args:
        script: Python file that makes a tuner and calls `search`.
        arguments: What the file finds in `sys.argv[1:]`.
        workers: Integer of at least 1, or None for one a GPU, or one.
        gpus: Numbers of GPUs, such as `"0,1"`, or None.
        storage: URL of the database, or None for what the environment or the script
            says.
        recycle_after: Trials after which a worker is replaced by a fresh one, or None.
        state: Folder for locks and logs, or None for one below the working directory
            by the name of the script.
        each: Called with the `Progress` about once a second, and at the end.

    Returns:
        Exit status, as `Master.run`.
    """
    _check_script(script)
    names = _gpu_names(gpus)
    workers = (len(names) if names else 1) if workers is None else workers
    check_integer(OWNER, "--workers", workers, low=1)
    if recycle_after is not None:
        check_integer(OWNER, "--recycle-after", recycle_after, low=1)
    if storage is not None:
        masked(storage)
    place = _state(script, arguments) if state is None else pathlib.Path(state)
    place = place.resolve()
    sys.stderr.write(f"Logs of the workers: {place}\n")
    given = roles.environment(storage, recycle_after, str(place))
    command = [sys.executable, "-m", "keras_practices", "search", "worker", script]
    return Master(
        [*command, *arguments], place, workers, given, gpus=names, each=each
    ).run()


def launch(job: Job, kind: str, out: str | None = None) -> int:
    """Writes the file that starts workers on a cluster.

    Args:
        job: What the file says.
        kind: `"slurm"` or `"k8s"`.
        out: File to write, or None for the standard output.

    Returns:
        Exit status 0.

    Raises:
        ValueError: the file is there already.
    """
    text = job.slurm() if kind == "slurm" else job.kubernetes()
    if out is None:
        sys.stdout.write(text)
        return 0
    try:
        with open(out, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise value_error(OWNER, "--out", "a file that is not there yet", out) from None
    return 0


def _check_script(script):
    if not (script.endswith(".py") and os.path.isfile(script)):
        raise value_error(OWNER, "script", "a Python file", script)


def _gpu_names(gpus):
    if gpus is None:
        return None
    names = [name.strip() for name in gpus.split(",")]
    if not all(names):
        raise ArgumentValueError(
            f"{OWNER}: argument `--gpus` must be numbers of GPUs with commas between "
            f"them, such as 0,1. Received: {gpus!r}."
        )
    return names


def _state(script, arguments):
    path = os.path.abspath(script)
    text = json.dumps([path, *arguments])
    mark = hashlib.sha256(text.encode()).hexdigest()[:8]
    return pathlib.Path("search-workers") / f"{pathlib.Path(path).stem}-{mark}"


def _end(number, frame):
    # As an exception it passes through the training, and the trial is given back.
    raise SystemExit(128 + number)
