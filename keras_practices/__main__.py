"""The command line: `python -m keras_practices demo` and `… diagnose`."""

import argparse
import importlib.util
import os
import subprocess
import sys
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


def main(argv=None):
    """Runs the command line.

    Args:
        argv: List of arguments, None for those of the process.

    Returns:
        Exit status: 0; 1 where a diagnosis found an error; 2 for a bad argument.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    options = parser().parse_args(argv)
    backend = options.backend
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
