"""Runs the one suite on each backend in a process of its own, and the wheel.

    python tests/run_suite.py            all three backends and the wheel
    python tests/run_suite.py jax        one backend alone

Two processes run side by side: tests of tiny models keep one core busy each. The
last line is the sum: `N passed, N failed, N skipped`; the exit status is 0 only
if nothing failed.
"""

import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree

BACKENDS = ("tensorflow", "jax", "torch")
# Name, backend and marks. Tests for which one backend does run on the fastest. Longer
# parts come first, so that two processes end at about the same time.
PARTS = (
    ("jax", "jax", "not once"),
    ("tensorflow", "tensorflow", "not once"),
    ("once", "torch", "once"),
    ("torch", "torch", "not once"),
)
# Half of the time goes to compiling programs that then run a few steps. XLA and
# TensorFlow need not optimise what they make of them; the operations and their order
# stay the same. (Files that ask for `optimized_graphs` have TensorFlow's as users do.)
UNOPTIMIZED = {
    "XLA_FLAGS": "--xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true",
    "KP_UNOPTIMIZED": "1",
}
# The backend whose package is smallest: the clean environment installs it anew.
WHEEL_BACKEND = "jax"
SIDE_BY_SIDE = 2
# Far above what a run takes; a run that hangs ends here and counts as failed.
LIMIT_SECONDS = 2400
ROOT = pathlib.Path(__file__).resolve().parents[1]
PROGRESS = re.compile(r"\[ *\d+%\]$")

_printing = threading.Lock()


@dataclasses.dataclass
class Outcome:
    """What one run came to."""

    name: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0


def say(text):
    """Prints whole lines, also from several threads."""
    with _printing:
        print(text, flush=True)


def run_streamed(name, command, quiet=False, **options):
    """Runs a command, shows its progress while it runs and the rest at the end.

    Args:
        name: What the lines begin with.
        command: List of program and arguments.
        quiet: Whether the rest is shown only if the command failed.
        **options: Arguments of `subprocess.Popen`.

    Returns:
        Its exit status.
    """
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        **options,
    )
    timer = threading.Timer(LIMIT_SECONDS, process.kill)
    timer.start()
    rest = []
    try:
        for line in process.stdout:
            line = line.rstrip()
            if PROGRESS.search(line):
                say(f"{name:<11}{line}")
            else:
                rest.append(line)
        status = process.wait()
    finally:
        timer.cancel()
        process.kill()
    if status != 0 or not quiet:
        say("\n".join([f"---- {name}: all other output ----", *rest, ""]))
    return status


def read_counts(outcome, report, status):
    """Fills in the counts from a JUnit file; a run without one has failed."""
    try:
        suite = xml.etree.ElementTree.parse(report).getroot().find("testsuite")
        count = {key: int(suite.get(key)) for key in ("tests", "failures", "errors")}
        outcome.skipped = int(suite.get("skipped"))
        outcome.failed = count["failures"] + count["errors"]
        outcome.passed = max(count["tests"] - outcome.failed - outcome.skipped, 0)
    except (OSError, xml.etree.ElementTree.ParseError):
        say(f"{outcome.name}: ended with status {status} and without a result.")
    if status != 0:
        outcome.failed = max(outcome.failed, 1)


def run_pytest(outcome, python, arguments, folder, report, **environment):
    """Runs pytest in `folder` and reads what it counted in `report`."""
    command = [python, "-m", "pytest", "-c", str(ROOT / "setup.cfg")]
    command += [f"--junitxml={report}", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
    status = run_streamed(outcome.name, command, cwd=folder, env=environment)
    read_counts(outcome, report, status)


def run_backend(name, backend, marks=None):
    """Runs the suite, or the part with these marks, on one backend."""
    outcome = Outcome(name)
    with tempfile.TemporaryDirectory(prefix="kp-suite-") as folder:
        report = os.path.join(folder, "junit.xml")
        # Tests make the same small networks many times over: JAX compiles each once.
        cache = {
            "JAX_COMPILATION_CACHE_DIR": os.path.join(folder, "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
        given = {**UNOPTIMIZED, **cache, **os.environ}
        environment = {**given, "KERAS_BACKEND": backend}
        arguments = ["tests", *([] if marks is None else ["-m", marks])]
        run_pytest(outcome, sys.executable, arguments, ROOT, report, **environment)
    return outcome


def run_wheel():
    """Builds the wheel, installs it in a clean environment, runs the smoke part."""
    outcome = Outcome("wheel")
    with tempfile.TemporaryDirectory(prefix="kp-wheel-") as folder:
        clean = pathlib.Path(folder) / "environment"
        python = str(clean / "bin" / "python")
        steps = [
            [sys.executable, "-m", "build", "--outdir", folder, str(ROOT)],
            [sys.executable, "-m", "venv", str(clean)],
            [python, "-m", "pip", "install", "pytest", "hypothesis"],
        ]
        for command in steps:
            say(f"{'wheel':<11}{' '.join(command[1:4])} ...")
            if run_streamed("wheel", command, quiet=True) != 0:
                outcome.failed = 1
                return outcome
            if command[2] == "build":
                (wheel,) = pathlib.Path(folder).glob("*.whl")
                steps[-1].append(f"{wheel}[{WHEEL_BACKEND},report]")
        work = pathlib.Path(folder) / "work"
        work.mkdir()
        run_pytest(
            outcome,
            python,
            [str(ROOT / "tests" / "smoke"), "-m", "smoke"],
            work,
            os.path.join(folder, "junit.xml"),
            KERAS_BACKEND=WHEEL_BACKEND,
            # The smoke tests refuse a package that does not come from here.
            KERAS_PRACTICES_INSTALLED_IN=str(clean),
        )
    return outcome


def timed(run, *arguments):
    """Runs and adds the seconds."""
    begin = time.monotonic()
    outcome = run(*arguments)
    outcome.seconds = time.monotonic() - begin
    say(
        f"{outcome.name:<11}done: {outcome.passed} passed, {outcome.failed} failed, "
        f"{outcome.skipped} skipped in {outcome.seconds:.0f} s"
    )
    return outcome


def summary(outcomes):
    """Returns the closing table; its last line is the sum."""
    lines = [f"{'':<12}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}"]
    lines += [
        f"{o.name:<12}{o.passed:>8}{o.failed:>8}{o.skipped:>9}{o.seconds:>9.0f}"
        for o in outcomes
    ]
    passed, failed, skipped = (
        sum(getattr(o, name) for o in outcomes)
        for name in ("passed", "failed", "skipped")
    )
    return "\n".join([*lines, f"{passed} passed, {failed} failed, {skipped} skipped"])


def main():
    """Reads the command line, runs, prints the sum and sets the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("backend", nargs="?", choices=BACKENDS)
    backend = parser.parse_args().backend
    if backend is not None:
        outcomes = [timed(run_backend, backend, backend)]
    else:
        with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            runs = [pool.submit(timed, run_backend, *part) for part in PARTS]
            runs.append(pool.submit(timed, run_wheel))
            outcomes = [run.result() for run in runs]
    print(summary(outcomes), flush=True)
    sys.exit(any(outcome.failed for outcome in outcomes))


if __name__ == "__main__":
    main()
