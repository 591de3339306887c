"""Prints what a monitor costs inside `fit`, beside what people use instead.

    python benchmarks/monitor_overhead.py --backend jax torch --model mlp convnet

For each backend and model one process trains as many equal models as there are
variants; in each round a variant has another one of them. In each round all are fitted
together, twenty steps of one, then of the next, in an order shuffled anew (`turns.py`):
a machine that slows down for a while slows all.
The time of a fit is divided by the mean of the two bare fits of its round. Printed are
the median of these ratios, their quartiles and their mean; `bare again` shows how far
two equal fits lie apart. CPU time is that of all threads. A first round is left out.

The first fit of each variant, some steps, compiles and is not in the ratios; by how
much it is longer than a bare fit stands in a column of its own. One monitor is used in
all fits of `ours`; `ours fresh` takes a new one each time. What a monitor does once in
a `fit`, at its begin and end, is in the ratio: in longer fits (`--seconds`) it weighs
less.
"""

import argparse
import contextlib
import importlib.metadata
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys

import numpy as np

BACKENDS = ("tensorflow", "jax", "torch")
MODELS = ("mlp", "convnet", "resnet20", "transformer")
BARE = ("bare", "bare again")
OTHERS = ("noop", "blog", "ours", "ours @10", "ours fresh", "tensorboard")
DEFAULTS = [name for name in OTHERS if name != "ours fresh"]
PACKAGES = "keras tensorflow jax jaxlib torch numpy tensorboard keras_practices".split()


def say(text):
    print(text, file=sys.stderr, flush=True)


def environment_of(backend, device):
    """Returns the environment of a process that measures this backend."""
    environment = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # With TensorBoard a second backend is loaded: neither may take the whole GPU.
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        # Threads of PyTorch that spin while another process has their core make one
        # fit 20 times as long as the next.
        "OMP_WAIT_POLICY": "PASSIVE",
        **os.environ,
        "KERAS_BACKEND": backend,
    }
    if device == "cpu":
        environment.update(
            CUDA_VISIBLE_DEVICES="", JAX_PLATFORMS="cpu", KERAS_TORCH_DEVICE="cpu"
        )
    return environment


def start_child(arguments, backend, model):
    """Returns what a fresh process with this backend measured, None if it failed."""
    environment = environment_of(backend, arguments.device)
    own = ["--child", "--backend", backend, "--model", model]
    command = [sys.executable, __file__, *arguments.passed_on, *own]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        say(f"{backend}, {model}: failed with exit status {done.returncode}")
        return None
    last = done.stdout.strip().rsplit("\n", 1)[-1]
    return {"backend": backend, "model": model, **json.loads(last)}


def ratios(rounds, name, clock):
    """One ratio a round; a bare fit is compared with the other bare fit alone."""
    found = []
    for row in rounds:
        bare = [row[other][clock] for other in BARE if other != name]
        found.append(row[name][clock] / (sum(bare) / len(bare)))
    return found


def spread(values):
    """Median and quartiles, and the mean.

    One of several equal models may be slower than the others, by some percent. Over as
    many rounds as there are models each variant has each of them once: in the mean
    that cancels, in the median it does not.
    """
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:.3f} ({low:.3f}–{high:.3f}), mean {np.mean(values):.3f}"


def table(result):
    """Returns the lines of one Markdown table."""
    rounds, first = result["rounds"], result["first_fit"]
    bare = [row[name]["wall"] for row in rounds for name in BARE]
    whole = float(np.median(bare))
    yield (
        f"### {result['backend']}, {result['model']} on "
        f"{result['environment']['devices']}\n"
    )
    yield (
        f"{result['parameters']:,} parameters ({result['model_mb']:.1f} MB), "
        f"batch {result['batch']}; {result['steps']} steps in {result['epochs']} "
        f"epochs, {whole:.2f} s bare, {1000 * whole / result['steps']:.2f} ms a step; "
        f"{len(rounds)} rounds; load {result['load'][0][0]:.1f} to "
        f"{result['load'][1][0]:.1f}.\n"
    )
    yield (
        "| variant | wall, ratio to bare | CPU, ratio to bare | first fit, s longer | "
        "its own figures |\n|---|---|---|---|---|"
    )
    for name in [BARE[1], *OTHERS]:
        if name in result["failed"]:
            yield f"| {name} | does not work | | | {result['failed'][name]} |"
        if name not in first:
            continue
        rows = [row[name] for row in rounds]
        longer = first[name]["wall"] - first[BARE[1]]["wall"]
        delay = "–" if name in BARE else f"{longer:+.1f}"
        yield (
            f"| {name} | {spread(ratios(rounds, name, 'wall'))} "
            f"| {spread(ratios(rounds, name, 'cpu'))} | {delay} "
            f"| {said_by(first[name], rows)} |"
        )
    yield (
        f"\nThe first bare fit took {result['compile_delay_of_the_model']:.1f} s "
        f"longer than the second.\n"
    )


def said_by(first, rows):
    """What the monitor itself wrote, in one cell."""
    parts = []
    own = [row["monitor"] for row in rows if "monitor" in row]
    if own:
        parts.append(f"{np.median([figures['samples'] for figures in own]):.0f} steps")
        shares = [line["share"] for line in own if line["share"] is not None]
        if shares:
            parts.append(f"share {100 * np.median(shares):.1f} %")
        later = [line["compile_seconds"] for line in own]
        at_first = first["monitor"]["compile_seconds"]
        if at_first is not None:
            later = np.median([value or 0 for value in later])
            parts.append(f"compiled {at_first:.1f} s, later {later:.1f} s")
    return ", ".join([*parts, *first.get("warnings", [])[:1]])


def summary(results):
    """Median ratios of all backends and models, wall and CPU."""
    names = [BARE[1], *OTHERS]
    yield "### Medians, wall / CPU\n"
    yield f"| backend | model | {' | '.join(names)} |"
    yield "|---|---" + "|---" * len(names) + "|"
    for result in results:
        cells = [result["backend"], result["model"]]
        for name in names:
            if name not in result["first_fit"]:
                cells.append("–")
                continue
            both = [ratios(result["rounds"], name, clock) for clock in ("wall", "cpu")]
            cells.append(" / ".join(f"{np.median(values):.3f}" for values in both))
        yield f"| {' | '.join(cells)} |"


def machine():
    """Returns what the figures depend on beside the package."""
    processor = platform.processor()
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                processor = line.split(":", 1)[1].strip()
                break
    gpu = None
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv"]
        gpu = subprocess.run(query, capture_output=True, text=True).stdout.strip()
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "system": platform.platform(),
        "processor": processor,
        "cores": len(getattr(os, "sched_getaffinity", lambda _: range(0))(0))
        or os.cpu_count(),
        "gpu": gpu,
        "load": os.getloadavg(),
        "versions": versions,
    }


def parse(words):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", nargs="+", choices=BACKENDS, default=BACKENDS)
    parser.add_argument("--model", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one bare fit")
    parser.add_argument("--epochs", type=int, default=2, help="of one fit, at least")
    parser.add_argument("--variants", nargs="+", choices=OTHERS, default=DEFAULTS)
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--json", type=pathlib.Path, help="file for all raw figures")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    arguments.passed_on = words
    return arguments


def main():
    arguments = parse(sys.argv[1:])
    if arguments.child:
        from monitor_child import child  # imports Keras

        print(json.dumps(child(arguments)))
        return 0
    here, results, failures = machine(), [], 0
    versions = ", ".join(f"{name} {v}" for name, v in here["versions"].items())
    print(f"{here['processor']}, {here['cores']} cores, load {here['load'][0]:.1f}")
    print(f"{versions}\n", flush=True)
    for backend in arguments.backend:
        for model in arguments.model:
            say(f"{backend}, {model}")
            result = start_child(arguments, backend, model)
            if result is None:
                failures += 1
                continue
            results.append(result)
            print("\n".join(table(result)), flush=True)
            if arguments.json:
                whole = {"machine": here, "command": sys.argv, "results": results}
                arguments.json.write_text(json.dumps(whole, indent=1) + "\n")
    if len(results) > 1:
        print("\n".join(summary(results)))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
