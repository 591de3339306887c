"""Prints how much faster slopes are measured together than weight by weight.

    python benchmarks/gradient_check.py --backend jax torch --rounds 5

What people write: take the weights out, move one, put them back, ask for the loss; the
other way; 1,000 entries of a network of two layers. Beside it the same slopes at the
same steps by the gradient check of `keras_practices`. Both run in one process, in
float64, in turn within each round; printed are medians over the rounds. The loop is
run over `--loop` entries and its time multiplied. What is compiled is compiled before
and stands in a column of its own. `moved` is the loop's better form, which writes only
the one variable.
"""

import argparse
import json
import os
import subprocess
import sys
import time

BACKENDS = ("tensorflow", "jax", "torch")
TARGETS = {"tensorflow": 50, "jax": 50, "torch": 5}
ENTRIES = 1000


def start_child(arguments, backend):
    """Returns what a fresh process with this backend measured, None if it failed."""
    environment = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "OMP_WAIT_POLICY": "PASSIVE",
        "CUDA_VISIBLE_DEVICES": "",
        "JAX_PLATFORMS": "cpu",
        "KERAS_TORCH_DEVICE": "cpu",
        **os.environ,
        "KERAS_BACKEND": backend,
    }
    command = [sys.executable, __file__, *sys.argv[1:], "--child"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return None
    return json.loads(done.stdout.strip().rsplit("\n", 1)[-1])


def child(arguments):
    """Measures on the backend of this process."""
    import keras
    import numpy as np
    from keras import ops

    from keras_practices._core import float64
    from keras_practices.measures import gradient_check
    from keras_practices.measures import gradient_check_coordinates

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(16, 32)), rng.normal(size=(16, 5))
    model = keras.Sequential(
        [
            keras.Input((32,)),
            keras.layers.Dense(44, activation="tanh"),
            keras.layers.Dense(5),
        ]
    )
    model.compile("sgd", "mse")
    model.compute_loss(y=y.astype("float32"), y_pred=model(x.astype("float32")))
    weights = [np.asarray(w, np.float64) for w in model.get_weights()]
    check = gradient_check._Check(model, 0, float("inf"))
    figures = {"ours": [], "loop": [], "moved": [], "parameters": model.count_params()}

    with float64.in_float64(model):
        fixed = check._fixed((x, y, None))
        values, loss, gradients = check._gradients(weights, fixed)
        arrays = gradient_check._arrays(gradients)
        share = ENTRIES // len(weights) * 3
        points = gradient_check_coordinates.pick_coordinates(
            weights, arrays, share, np.random.default_rng(0)
        )[:ENTRIES]
        begun = time.perf_counter()
        losses = gradient_check_coordinates.Losses(
            check._data_loss, values, fixed, loss
        )
        figures["compile"] = time.perf_counter() - begun

        def ours(points):
            gradient_check_coordinates.check_coordinates(losses, points, float("inf"))
            return [one.numeric for one in points]

        figures["error"] = compared(ours(points), points)

        tensors = [ops.convert_to_tensor(part) for part in (x, y)]
        variables = [keras.Variable(w, dtype="float64") for w in weights]
        pairs = list(zip(model.trainable_variables, variables, strict=True))

        def loss_now():
            mapping = [(own, side.value) for own, side in pairs]
            with keras.StatelessScope(state_mapping=mapping):
                found = model.compute_loss(y=tensors[1], y_pred=model(tensors[0]))
            return float(ops.convert_to_numpy(found))

        def loop(points):
            return [slope(point, write_all) for point in points]

        def moved(points):
            return [slope(point, write_one) for point in points]

        def slope(point, write):
            found = []
            for step in (point.step, -point.step):
                write(point, step)
                found.append(loss_now())
            write(point, 0.0)
            return (found[0] - found[1]) / (2 * point.step)

        def write_all(point, step):
            given = [ops.convert_to_numpy(side.value).copy() for side in variables]
            given[point.variable] = weights[point.variable].copy()
            given[point.variable].flat[point.index] += step
            for side, array in zip(variables, given, strict=True):
                side.assign(array)

        def write_one(point, step):
            array = weights[point.variable].copy()
            array.flat[point.index] += step
            variables[point.variable].assign(array)

        few = points[: arguments.loop]
        figures["loop_error"] = compared(loop(few), few)
        for _ in range(arguments.rounds):
            for name, function, some in (
                ("loop", loop, few),
                ("ours", ours, points),
                ("moved", moved, few),
            ):
                begun = time.perf_counter()
                function(some)
                took = time.perf_counter() - begun
                figures[name].append(took * len(points) / len(some))
    figures["entries"] = len(points)
    return figures


def compared(slopes, points):
    """Largest relative error to the gradients of autodiff."""
    return max(
        abs(slope - one.analytic) / max(abs(slope), abs(one.analytic), 1e-6)
        for slope, one in zip(slopes, points, strict=True)
    )


def median(values):
    ranked = sorted(values)
    return ranked[len(ranked) // 2]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", nargs="+", choices=BACKENDS, default=BACKENDS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loop", type=int, default=100, help="entries of the loop")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(child(arguments)))
        return 0
    print(
        f"{ENTRIES:,} entries, load {os.getloadavg()[0]:.1f}\n\n"
        "| backend | loop, s | moved, s | ours, s | loop : ours | moved : ours | "
        "target | compiled in, s | largest error |\n" + "|---" * 9 + "|",
        flush=True,
    )
    missed = 0
    for backend in arguments.backend:
        found = start_child(arguments, backend)
        if found is None:
            print(f"| {backend} | failed |")
            missed += 1
            continue
        ratios = {
            name: median(
                [a / b for a, b in zip(found[name], found["ours"], strict=True)]
            )
            for name in ("loop", "moved")
        }
        missed += ratios["loop"] < TARGETS[backend]
        seconds = [f"{median(found[name]):.3f}" for name in ("loop", "moved", "ours")]
        print(
            f"| {backend} | {' | '.join(seconds)} | {ratios['loop']:.0f} × "
            f"| {ratios['moved']:.0f} × | {TARGETS[backend]} × "
            f"| {found['compile']:.2f} | {found['error']:.1e} |",
            flush=True,
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
