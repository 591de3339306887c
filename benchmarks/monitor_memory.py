"""Prints how much more memory a process needs with a monitor than without one.

    python benchmarks/monitor_memory.py --backend jax torch --model mlp wide
    python benchmarks/monitor_memory.py --backend jax --long 100000

Every figure comes from processes of their own, in turns with a monitor and without:
the difference of the two medians. The probe has as many rows as a batch.

What counts is told by processes whose C library keeps nothing: what the worst moment
of a later fit takes above its begin, where Python's garbage is collected after each
step, and what is in use after the first fit, which is mostly compiled programs. Beside
the latter stands what Keras's own train step takes when it is compiled a second time,
without any monitor: less than that no second program can take. The last columns are
what the system shows of a process (`VmRSS` after its first fit, `VmHWM`). Freed memory
that the C library keeps is part of them.

`--long` shows whether memory is flat over one long fit of a very small model; there
freed memory is given back, on both sides, before it is weighed.
"""

import argparse
import ctypes
import gc
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from monitor_overhead import BACKENDS
from monitor_overhead import MODELS
from monitor_overhead import environment_of
from monitor_overhead import machine
from monitor_overhead import say

VARIANTS = ("bare", "ours")
FIGURES = ("held", "first", "later")
# Without a monitor too, but for a second program of Keras's own step.
TWICE = "twice"
STEPS = 40
LATER_FITS = 5
# glibc gives each block of this size back at once, and has one heap for all threads,
# of Python's objects too.
KEEPS_NOTHING = {
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "MALLOC_ARENA_MAX": "1",
    "PYTHONMALLOC": "malloc",
}


def memory(kind="VmRSS"):
    """Returns this process's memory in MB (`VmHWM`: its peak)."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(kind):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"/proc/self/status has no {kind}.")


def forget_peak():
    """Sets the peak to what is held now."""
    pathlib.Path("/proc/self/clear_refs").write_text("5")


class MallocFigures(ctypes.Structure):
    """What glibc's `mallinfo2` returns."""

    _names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks"
    _fields_ = [(name, ctypes.c_size_t) for name in [*_names.split(), "keepcost"]]


def in_use():
    """Returns MB that were taken of the C library and not given back to it."""
    ask = ctypes.CDLL(None).mallinfo2
    ask.restype = MallocFigures
    gc.collect()
    found = ask()
    return (found.uordblks + found.hblkhd) / 2**20


def child(arguments, folder):
    """Returns the figures of one process."""
    # Keras is imported here, in a process that has its backend.
    import keras
    from monitor_child import Bench
    from networks import NETWORKS

    from keras_practices._core.fit_internals import made_by_keras
    from keras_practices._core.memory import give_back
    from keras_practices.callbacks import TrainingMonitor

    class Collect(keras.callbacks.Callback):
        """Leaves no garbage: on PyTorch a whole step's may wait for the collector."""

        def on_train_begin(self, logs=None):
            """Has no later collection look at what is there already."""
            gc.freeze()

        def on_train_batch_end(self, batch, logs=None):
            """Collects what the step has left."""
            gc.collect()

        def on_train_end(self, logs=None):
            """Lets everything be looked at again."""
            gc.unfreeze()

    class Weigh(keras.callbacks.Callback):
        """Notes the memory held at ten points of a fit."""

        def __init__(self, steps):
            super().__init__()
            self.every, self.step, self.held = max(1, steps // 10), 0, {}

        def on_train_batch_end(self, batch, logs=None):
            """Weighs at every tenth of the steps."""
            self.step += 1
            if self.step % self.every == 0:
                gc.collect()
                give_back()
                self.held[self.step] = memory()

    bench = Bench(NETWORKS[arguments.model[0]])
    steps = bench.resize(arguments.long or STEPS, 2)
    callbacks = []
    if arguments.child == "ours":
        probe = tuple(rows[: bench.batch] for rows in bench.probe)
        callbacks.append(TrainingMonitor(folder, probe=probe))
    found = {"mb": sum(w.nbytes for w in bench.model.get_weights()) / 2**20}
    if arguments.long:
        weigh = Weigh(steps)
        bench.fit([*callbacks, weigh])
        return {**found, "long": weigh.held}
    bench.fit(callbacks)
    if arguments.child == TWICE:
        model, step = bench.model, bench.model.train_step
        # Around a new function: JAX would know the old one.
        again = made_by_keras(model, lambda *args: step(*args))
        first, model.train_function = model.train_function, again
        bench.fit()
        model.train_function = first  # both are kept, as a monitor keeps them
        return {"use": in_use()}
    found.update(held=memory(), first=memory("VmHWM"), use=in_use())
    peaks, needs = [], []
    if arguments.keeps_nothing:
        callbacks.append(Collect())
    for _ in range(LATER_FITS):
        gc.collect()
        if arguments.keeps_nothing:
            give_back()
        forget_peak()
        before = memory()
        bench.fit(callbacks)
        peaks.append(memory("VmHWM"))
        needs.append(peaks[-1] - before)
    return {**found, "later": float(np.median(peaks)), "need": float(np.median(needs))}


def started(arguments, backend, model, variant, *, keeps_nothing=False):
    """Returns what a fresh process measured."""
    environment = environment_of(backend, "cpu")
    own = ["--child", variant, "--backend", backend, "--model", model]
    if keeps_nothing:
        environment.update(KEEPS_NOTHING)
        own.append("--keeps-nothing")
    command = [sys.executable, __file__, *arguments.passed_on, *own]
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.strip().rsplit("\n", 1)[-1])


def difference(found, figure, variant="ours"):
    """MB more than without a monitor: of medians over processes."""
    bare, other = (
        np.median([one[figure] for one in found[v]]) for v in ("bare", variant)
    )
    return float(other - bare)


def measure(arguments, backend, model):
    """Returns the figures of all processes of one network."""
    found = {"backend": backend, "model": model}
    for kind, variants in (("usual", VARIANTS), ("exact", (*VARIANTS, TWICE))):
        found[kind] = {variant: [] for variant in variants}
        for number in range(arguments.rounds):
            for variant in variants:
                exact = kind == "exact"
                one = started(arguments, backend, model, variant, keeps_nothing=exact)
                found[kind][variant].append(one)
                say(f"  {kind} {number + 1}, {variant}: {one}")
    return found


def row(found):
    """One line of the table."""
    usual, exact = found["usual"], found["exact"]
    mb = exact["bare"][0]["mb"]
    values = [difference(exact, figure) for figure in ("need", "use")]
    values.append(difference(exact, "use", TWICE))
    values += [difference(usual, figure) for figure in FIGURES]
    cells = " | ".join(f"{value:+.1f}" for value in values)
    allowed = 8 + 0.01 * mb
    return f"| {found['backend']} | {found['model']} | {allowed:.1f} | {cells} |"


def long_table(arguments, backend):
    """Yields the lines of the table of one long fit."""
    found = {v: started(arguments, backend, "tiny", v)["long"] for v in VARIANTS}
    yield f"### {backend}, one fit of a very small model: MB held\n"
    yield "| step | bare | ours | more |\n|---|---|---|---|"
    for step, bare in found["bare"].items():
        ours = found["ours"][step]
        yield f"| {int(step):,} | {bare:.1f} | {ours:.1f} | {ours - bare:+.1f} |"
    yield ""


def parse(words):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", nargs="+", choices=BACKENDS, default=BACKENDS)
    models = [*MODELS, "wide", "tiny"]
    parser.add_argument("--model", nargs="+", choices=models, default=models)
    parser.add_argument("--rounds", type=int, default=3, help="processes of each kind")
    parser.add_argument("--long", type=int, nargs="?", const=100_000, metavar="STEPS")
    parser.add_argument("--json", type=pathlib.Path, help="file for all raw figures")
    parser.add_argument("--child", choices=(*VARIANTS, TWICE), help=argparse.SUPPRESS)
    parser.add_argument("--keeps-nothing", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    arguments.passed_on = words
    return arguments


def main():
    arguments = parse(sys.argv[1:])
    if arguments.child:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(child(arguments, folder)))
        return
    here, results = machine(), []
    versions = ", ".join(f"{name} {v}" for name, v in here["versions"].items())
    print(f"{here['processor']}, {here['cores']} cores\n{versions}\n", flush=True)
    if arguments.long:
        for backend in arguments.backend:
            print("\n".join(long_table(arguments, backend)), flush=True)
        return
    print("MB more with a monitor\n")
    print(
        "| backend | network | allowed | a later fit needs | in use after the first | "
        "Keras's own step again | held after the first fit | at its worst moment | "
        "at a later fit's |\n|---|---|---|---|---|---|---|---|---|",
        flush=True,
    )
    for backend in arguments.backend:
        for model in arguments.model:
            say(f"{backend}, {model}")
            results.append(measure(arguments, backend, model))
            print(row(results[-1]), flush=True)
            if arguments.json:
                whole = {"machine": here, "command": sys.argv, "results": results}
                arguments.json.write_text(json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    main()
