"""The command line: `python -m keras_practices demo`, `… diagnose`, `… search`."""

import argparse
import dataclasses
import importlib.util
import os
import subprocess
import sys
import time
import traceback

import keras

from keras_practices.errors import KerasPracticesError
from keras_practices.version import __version__

BACKENDS = ("tensorflow", "jax", "torch")


def parser():
    """Returns the parser of the command line."""
    from keras_practices.demo.network import BROKEN

    root = argparse.ArgumentParser(
        prog="python -m keras_practices",
        description="The training practices of the classic course notes, for Keras 3.",
    )
    root.add_argument("--version", action="version", version=__version__)
    commands = root.add_subparsers(dest="verb", required=True)
    demo = commands.add_parser(
        "demo", help="train on real digits with the practices on, and write a report"
    )
    demo.add_argument(
        "--dataset",
        default="digits",
        metavar="digits|mnist|PATH.npz",
        help="images to train on (default: digits, which needs no network)",
    )
    demo.add_argument("--backend", choices=BACKENDS, help="default: Keras's own choice")
    demo.add_argument(
        "--broken", choices=tuple(BROKEN), help="make this mistake on purpose"
    )
    demo.add_argument("--epochs", type=int, default=30, help="default: 30")
    demo.add_argument(
        "--out", help="folder for report and record (default: runs/demo…)"
    )
    demo.add_argument("--seed", type=int, default=0, help="default: 0")
    demo.set_defaults(command=_demo)
    _add_diagnose(commands)
    _add_search(commands)
    return root


def _add_diagnose(commands):
    add = commands.add_parser(
        "diagnose",
        help="explain a script's trainings, or runs that a monitor recorded",
        description="Runs a training script with every `fit` in it diagnosed, or "
        "explains the record of a run; of several records it compares the runs.",
        epilog="Exit status: 0 without errors (warnings are no errors), 1 with one or "
        "where the script raised, 2 for a bad argument; a script's own exit status if "
        "that is another. Options go before the path: what follows a script is handed "
        "on to it.",
    )
    add.add_argument("--html", metavar="FILE", help="write the report as a page")
    add.add_argument("--json", metavar="FILE", help="write the report as JSON")
    add.add_argument(
        "--budget-seconds",
        type=float,
        default=20.0,
        metavar="S",
        help="for checks and trials, beside each fit of a script (default: 20)",
    )
    add.add_argument("--backend", choices=BACKENDS, help="default: Keras's own choice")
    add.add_argument("path", metavar="SCRIPT_OR_RECORD", help="file.py, or a folder")
    add.add_argument(
        "more",
        nargs=argparse.REMAINDER,
        metavar="…",
        help="arguments of the script, or more records",
    )
    add.set_defaults(command=_diagnose)


def _add_search(commands):
    search = commands.add_parser(
        "search",
        help="run the hyperparameter search of a script by several processes",
        description="A script that makes a tuner and calls `search` is run by any "
        "number of workers, each of which begins it anew. What they share is the "
        "folder of the search and a database: SQLite on one machine, PostgreSQL or "
        "MySQL on several.",
    )
    roles = search.add_subparsers(dest="role", required=True)
    worker = roles.add_parser("worker", help="run trials until none is left")
    _add_storage(worker)
    worker.add_argument(
        "--trials", type=int, metavar="M", help="end with status 75 after M trials"
    )
    worker.set_defaults(command=_search_worker)
    master = roles.add_parser("master", help="keep this machine's workers alive")
    _add_storage(master)
    master.add_argument("--workers", type=int, help="default: one a GPU, or 1")
    master.add_argument("--gpus", metavar="0,1", help="give each worker one of these")
    master.add_argument(
        "--recycle-after", type=int, metavar="M", help="a fresh worker every M trials"
    )
    master.add_argument(
        "--html", metavar="FILE", help="write the report as a page, every minute"
    )
    master.add_argument("--state", metavar="FOLDER", help="for locks and logs")
    master.set_defaults(command=_search_master)
    launch = roles.add_parser("launch", help="write a file that starts workers")
    _add_launch(launch)
    launch.set_defaults(command=_search_launch)
    for parser in (worker, master, launch):
        parser.add_argument("script", help="file.py that makes a tuner and searches")
        parser.add_argument(
            "arguments", nargs=argparse.REMAINDER, metavar="…", help="its arguments"
        )


def _add_storage(parser):
    parser.add_argument(
        "--storage",
        metavar="URL",
        help="the database; one with a password stands better in the variable "
        "KERAS_PRACTICES_SEARCH_STORAGE, since others can read command lines "
        "(default: SQLite in the folder of the search)",
    )


def _add_launch(parser):
    kind = parser.add_mutually_exclusive_group(required=True)
    for name in ("slurm", "k8s"):
        kind.add_argument(f"--{name}", dest="kind", action="store_const", const=name)
    parser.add_argument("--out", metavar="FILE", help="default: standard output")
    parser.add_argument("--workers", type=int, help="default: 4")
    parser.add_argument("--gpus", type=int, help="of a worker; default: 0")
    parser.add_argument("--cpus", type=int, help="of a worker; default: 2")
    parser.add_argument("--memory", help="of a worker; default: 8G")
    parser.add_argument("--hours", type=float, help="time limit (Slurm)")
    parser.add_argument("--recycle-after", type=int, metavar="M")
    parser.add_argument("--name", help="of the job")
    parser.add_argument("--folder", help="shared folder in which the script runs")
    parser.add_argument("--python", help="the interpreter; default: python")
    parser.add_argument("--image", help="of the containers (Kubernetes)")
    parser.add_argument("--secret", help="that holds the URL (Kubernetes)")
    parser.add_argument("--key", help="of the URL in the secret (Kubernetes)")
    parser.add_argument("--claim", help="of the shared volume (Kubernetes)")


def main(argv=None):
    """Runs the command line.

    Args:
        argv: List of arguments, None for those of the process.

    Returns:
        Exit status: 0; 1 where a diagnosis found an error; 2 for a bad argument.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    options = parser().parse_args(argv)
    backend = getattr(options, "backend", None)
    if backend is not None and backend != keras.backend.backend():
        return _again_on(backend, argv)
    try:
        return options.command(options)
    except KerasPracticesError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _demo(options):
    from keras_practices.demo.run import run

    run(
        options.dataset,
        broken=options.broken,
        epochs=options.epochs,
        out=options.out,
        seed=options.seed,
    )
    return 0


def _diagnose(options):
    from keras_practices.report import Report
    from keras_practices.report import compare
    from keras_practices.report.files import writable_file

    for name in ("html", "json"):
        if getattr(options, name) is not None:
            writable_file("diagnose", f"--{name}", getattr(options, name))
    if options.path.endswith(".py"):
        return _diagnose_script(options)
    if options.more:
        report = compare([options.path, *options.more])
    else:
        report = Report.from_record(options.path)
    _show(options, report, 1)
    return 0 if not report.errors else 1


def _diagnose_script(options):
    from keras_practices.scripts import diagnosed_fits
    from keras_practices.scripts import run_script

    if not os.path.isfile(options.path):
        sys.stderr.write(f"{options.path}: no such script.\n")
        return 2
    reports = []

    def tell(report):
        reports.append(report)
        _show(options, report, len(reports))

    def refused(error):
        sys.stderr.write(f"This fit is not diagnosed: {error}\n")

    status = 0
    seconds = options.budget_seconds
    try:
        with diagnosed_fits(tell, refused=refused, budget_seconds=seconds):
            run_script(options.path, options.more)
    except SystemExit as stop:
        # As Python ends: a text is printed, and counts as 1.
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if status and not isinstance(stop.code, int):
            sys.stderr.write(f"{stop.code}\n")
    except Exception:
        traceback.print_exc()
        status = 1
    if not reports:
        sys.stderr.write(f"{options.path} trained nothing that could be diagnosed.\n")
    return status or int(any(report.errors for report in reports))


def _search_worker(options):
    from keras_practices.scripts import run_script
    from keras_practices.tuners.commands import worker

    return worker(
        options.script,
        options.arguments,
        run_script,
        storage=options.storage,
        trials=options.trials,
    )


def _search_master(options):
    from keras_practices.report.files import writable_file
    from keras_practices.tuners.commands import master

    page = None
    if options.html is not None:
        writable_file("search", "--html", options.html)
        page = _SearchPage(options.html)
    status = master(
        options.script,
        options.arguments,
        workers=options.workers,
        gpus=options.gpus,
        storage=options.storage,
        recycle_after=options.recycle_after,
        state=options.state,
        each=None if page is None else page.renew,
    )
    if page is not None:
        page.write(fanova=True)
    return status


class _SearchPage:
    """The report of a search that is running, as a page that is renewed."""

    def __init__(self, file):
        self._file = file
        self._folder = None
        self._due = 0.0

    def renew(self, progress):
        """Writes the page once a minute."""
        self._folder = progress.folder
        if time.monotonic() >= self._due and progress.results():
            self.write(fanova=False)
            self._due = time.monotonic() + 60.0

    def write(self, fanova):
        """Writes the page, if the search has begun."""
        from keras_practices.report.search import report_search

        if self._folder is None:
            return
        try:
            report_search(self._folder, fanova=fanova).save_html(self._file)
        except KerasPracticesError as error:  # the search goes on
            sys.stderr.write(f"{error}\n")


def _search_launch(options):
    from keras_practices.tuners.commands import launch
    from keras_practices.tuners.launch import Job

    given = vars(options)
    fields = (field.name for field in dataclasses.fields(Job))
    chosen = {name: given[name] for name in fields if given.get(name) is not None}
    chosen["arguments"] = tuple(options.arguments)
    return launch(Job(**chosen), options.kind, options.out)


def _show(options, report, number):
    """Prints a report; of a script's second `fit` the files are `report-2.html`, …."""
    sys.stdout.write(report.text(color=sys.stdout.isatty()) + "\n")
    sys.stdout.flush()
    for file, save in (
        (options.html, report.save_html),
        (options.json, report.to_json),
    ):
        if file is None:
            continue
        root, end = os.path.splitext(file)
        try:
            save(f"{root}-{number}{end}" if number > 1 else file)
        except KerasPracticesError as error:  # the script's training goes on
            sys.stderr.write(f"{error}\n")


def _again_on(backend, argv):
    """Keras chooses its backend at import: a new process for another one."""
    if importlib.util.find_spec(backend) is None:
        sys.stderr.write(
            f"The backend {backend} is not installed. Install it: pip install "
            f"keras-practices[{backend}]\n"
        )
        return 2
    command = [sys.executable, "-m", "keras_practices", *argv]
    return subprocess.call(command, env={**os.environ, "KERAS_BACKEND": backend})


if __name__ == "__main__":
    sys.exit(main())
