"""Prints what `import keras_practices` costs on top of `import keras`.

    KERAS_BACKEND=jax python benchmarks/import_time.py --runs 15

Each run is a fresh process. Runs with and without the package take turns, so that
a busy machine slows both alike. Two figures: the difference of the medians of whole
processes (what a user waits), and the time of the second import statement alone
(steadier; the target is 50 ms or less).
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

KERAS = "import keras"
INNER = """
import time
import keras
begin = time.perf_counter()
import keras_practices
print(time.perf_counter() - begin)
"""
# With bytecode, as after any installation: without it every run compiles the source.
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)


def run(program):
    """Returns the seconds of a fresh process and what it printed last."""
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    return time.perf_counter() - begin, done.stdout.strip().rsplit("\n", 1)[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=11)
    runs = parser.parse_args().runs
    run(INNER)  # writes bytecode, fills the disk cache
    alone, both, inside = [], [], []
    for _ in range(runs):
        alone.append(run(KERAS)[0])
        seconds, printed = run(INNER)
        both.append(seconds)
        inside.append(float(printed))
    without, with_ours = statistics.median(alone), statistics.median(both)
    print(f"backend {os.environ.get('KERAS_BACKEND', '(default)')}, {runs} runs each")
    print(f"process with `import keras`        {1000 * without:8.1f} ms (median)")
    print(f"process with both imports          {1000 * with_ours:8.1f} ms (median)")
    print(f"difference of the two medians      {1000 * (with_ours - without):8.1f} ms")
    print(
        f"`import keras_practices` alone     {1000 * statistics.median(inside):8.1f} ms"
        f" (median; largest {1000 * max(inside):.1f})"
    )


if __name__ == "__main__":
    main()
