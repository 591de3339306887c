"""Prints time and memory of the PCA layer beside those of scikit-learn.

    python benchmarks/pca.py
    python benchmarks/pca.py --rows 15000 --dtype float64 --components 256

Each fit runs in a process of its own, on the same random rows, which are in memory
before the clock starts. Images of the size of CIFAR-10: 3,072 correlated features, all
components kept or the first of them. "Extra memory" is the highest resident memory
during the fit less that before it: what the fit needs besides the data. Printed is the
median over `--rounds`, in which the solvers take turns. scikit-learn turns uint8 into
float64 and calculates on float32 in float32; ours is float64 always. "error"
(`--reference`) is the largest relative error of the variances of the first 100
components, measured against the float64 covariance of the same rows.
"""

import argparse
import json
import os
import subprocess
import sys
import time

SOLVERS = ("keras_practices", "covariance_eigh", "full")
COMPARED = 100
# Against scikit-learn's `covariance_eigh`.
MAX_TIME, MAX_MEMORY = 1.0, 1 / 3


def rows_of(arguments):
    """Returns rows whose variances fall by a power law, as those of pictures do."""
    import numpy as np

    rng = np.random.default_rng(0)
    scales = np.arange(1, arguments.features + 1, dtype="float32") ** -0.7
    turn = rng.normal(size=(arguments.features,) * 2).astype("float32")
    x = np.empty((arguments.rows, arguments.features), arguments.dtype[0])
    for start in range(0, len(x), 1000):
        part = x[start : start + 1000]
        values = rng.standard_normal(part.shape, "float32") * scales @ turn
        values = 128 + 0.4 * values
        part[...] = values.clip(0, 255) if x.dtype == "uint8" else values
    return x


def resident(field):
    """Returns a figure of this process in MiB: `VmRSS`, or `VmHWM` for its peak."""
    with open("/proc/self/status", encoding="ascii") as file:
        line = next(line for line in file if line.startswith(field))
    return int(line.split()[1]) / 1024


def forget_peak():
    """Lets the peak of resident memory begin anew (Linux)."""
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def child(arguments):
    """Fits once and returns the figures."""
    import keras  # noqa: F401  (both begin with the same libraries loaded)
    import numpy as np
    import scipy.linalg
    from sklearn.decomposition import PCA

    from keras_practices.data.part import Part
    from keras_practices.data.pca import PCA as Layer

    x = rows_of(arguments)
    small = np.random.default_rng(1).normal(size=(200, 30))
    scipy.linalg.eigh(np.cov(small.T))  # starts the threads of the libraries
    solver = arguments.child
    if solver == "keras_practices":
        part = Part(x, np.zeros(len(x)), role="train")
        Layer().adapt(Part(small, np.zeros(200), role="train"))
        layer = Layer(arguments.components)
        fit = lambda: layer.adapt(part)  # noqa: E731
    else:
        PCA(svd_solver=solver).fit(small)
        fitted = PCA(arguments.components, svd_solver=solver)
        fit = lambda: fitted.fit(x)  # noqa: E731
    forget_peak()
    before = resident("VmRSS")
    begun = time.perf_counter()
    fit()
    seconds = time.perf_counter() - begun
    memory = resident("VmHWM") - before
    if solver == "keras_practices":
        variances = layer.explained_variance
    else:
        variances = fitted.explained_variance_
    error = None
    if arguments.reference:
        error = relative_error(x, variances)
    return {"seconds": seconds, "memory": memory, "error": error}


def relative_error(x, variances):
    import numpy as np
    import scipy.linalg

    mean = x.mean(axis=0, dtype="float64")
    covariance = np.zeros((x.shape[1],) * 2)
    for start in range(0, len(x), 2000):
        centred = x[start : start + 2000] - mean
        covariance += centred.T @ centred
    covariance /= len(x) - 1
    size = len(covariance)
    expected = scipy.linalg.eigh(
        covariance,
        eigvals_only=True,
        subset_by_index=(size - COMPARED, size - 1),
        overwrite_a=True,
    )[::-1]
    return float(np.abs(variances[:COMPARED] / expected - 1).max())


def start_child(solver, dtype):
    """Returns what a fresh process measured, None if it failed."""
    environment = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "OMP_WAIT_POLICY": "PASSIVE",
        "CUDA_VISIBLE_DEVICES": "",
        "JAX_PLATFORMS": "cpu",
        "KERAS_BACKEND": "torch",
        **os.environ,
    }
    command = [
        sys.executable,
        __file__,
        *sys.argv[1:],
        "--child",
        solver,
        "--dtype",
        dtype,
    ]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return None
    return json.loads(done.stdout.strip().rsplit("\n", 1)[-1])


def median(values):
    if None in values:
        return None  # not measured
    ranked = sorted(values)
    return ranked[len(ranked) // 2]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--features", type=int, default=3072)
    parser.add_argument(
        "--dtype",
        nargs="+",
        choices=("uint8", "float32", "float64"),
        default=["uint8", "float64"],
    )
    parser.add_argument("--components", type=int, help="how many; all by default")
    parser.add_argument("--solvers", nargs="+", choices=SOLVERS, default=SOLVERS)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--child", choices=SOLVERS, help=argparse.SUPPRESS)
    parser.add_argument("--reference", action="store_true", help="measure errors too")
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(child(arguments)))
        return 0
    solvers = list(dict.fromkeys(["keras_practices", *arguments.solvers]))
    print(
        f"{arguments.rows:,} × {arguments.features:,}, {arguments.components or 'all'} "
        f"components, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n\n"
        "| rows | solver | time, s | extra memory, MiB | time : ours | memory : ours "
        "| error |\n" + "|---" * 7 + "|",
        flush=True,
    )
    missed = 0
    for dtype in arguments.dtype:
        found = {solver: [] for solver in solvers}
        for _ in range(arguments.rounds):
            for solver in solvers:
                figures = start_child(solver, dtype)
                if figures is not None:
                    found[solver].append(figures)
        missed += table(dtype, found)
    return 1 if missed else 0


def table(dtype, found):
    """Prints the figures; returns 1 where a target was missed or ours failed."""
    rows = {
        solver: {
            name: median([one[name] for one in figures])
            for name in ("seconds", "memory", "error")
        }
        for solver, figures in found.items()
        if figures
    }
    ours = rows.get("keras_practices")
    for solver in found:
        if solver not in rows or ours is None:
            print(f"| {dtype} | {solver} | failed |")
            continue
        row = rows[solver]
        error = "" if row["error"] is None else f"{row['error']:.0e}"
        print(
            f"| {dtype} | {solver} | {row['seconds']:.1f} | {row['memory']:.0f} "
            f"| {row['seconds'] / ours['seconds']:.2f} × "
            f"| {row['memory'] / ours['memory']:.2f} × | {error} |",
            flush=True,
        )
    if ours is None:
        return 1
    peer = rows.get("covariance_eigh")
    missed = peer is not None and (
        ours["seconds"] > MAX_TIME * peer["seconds"]
        or ours["memory"] > MAX_MEMORY * peer["memory"]
    )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
