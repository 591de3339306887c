"""The command line: `python -m keras_practices demo`."""

import argparse
import importlib.util
import os
import subprocess
import sys

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
    commands = root.add_subparsers(dest="command", required=True)
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
    return root


def main(argv=None):
    """Runs the command line.

    Args:
        argv: List of arguments, None for those of the process.

    Returns:
        Exit status: 0, or 2 for a bad argument.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    options = parser().parse_args(argv)
    backend = options.backend
    if backend is not None and backend != keras.backend.backend():
        return _again_on(backend, argv)
    from keras_practices.demo.run import run

    try:
        run(
            options.dataset,
            broken=options.broken,
            epochs=options.epochs,
            out=options.out,
            seed=options.seed,
        )
    except KerasPracticesError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


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
