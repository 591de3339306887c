"""Check → watch → act → report on real images, in one go."""

import math
import pathlib

import keras
import numpy as np

from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_integer
from keras_practices.callbacks import StepDecay
from keras_practices.data import Split
from keras_practices.demo import datasets
from keras_practices.demo import network
from keras_practices.demo.progress import Progress
from keras_practices.diagnosis import check
from keras_practices.diagnosis import diagnose
from keras_practices.diagnosis import report_test_set
from keras_practices.record import writable_folder

# Rows that are trained on at the most: the demo shows the flow in minutes.
MAX_ROWS = 12_000
BATCH_SIZE = 32


def run(dataset="digits", *, broken=None, epochs=30, out=None, seed=0, console=None):
    """Trains the demo's convnet and writes a report.

    Args:
        dataset: See `datasets.load`.
        broken: Key of `network.BROKEN`: a mistake to make on purpose, or None.
        epochs: Int. Epochs to train.
        out: Folder for report and record; it is emptied of a former run. None for
            `runs/demo` or `runs/demo-BROKEN`.
        seed: Int. Seed of split, weights and order.
        console: `rich.console.Console` to write to, or None for a new one.

    Returns:
        `(report, metrics)`: the `Report`, and the figures of the test set.

    Raises:
        TypeError, ValueError, OSError: bad arguments, before any training.
    """
    from rich.console import Console

    console = console or Console()
    check_integer("demo", "epochs", epochs, low=1)
    if broken is not None:
        check_choice("demo", "--broken", broken, tuple(network.BROKEN))
    folder = pathlib.Path(out or f"runs/demo{'-' + broken if broken else ''}")
    writable_folder("demo", "--out", folder)
    _forget(folder)
    x, y = datasets.load(dataset)
    if len(x) > MAX_ROWS:  # at random: a file may be sorted by class
        rows = np.random.default_rng(seed).choice(len(x), MAX_ROWS, replace=False)
        x, y = x[rows], y[rows]

    keras.utils.set_random_seed(seed)
    split = Split(
        x, y, validation=0.2, test=0.2, seed=seed, ledger=folder / "test-set.jsonl"
    )
    steps = epochs * math.ceil(len(split.train.x) / BATCH_SIZE)
    model = network.build(split, broken, steps=steps)
    console.print(
        f"[bold]{dataset}[/]: {len(split.train.x)} training, "
        f"{len(split.validation.x)} validation rows; the test set stays in its vault\n"
        f"[bold]{model.name}[/]: {model.count_params():,} parameters on "
        f"{keras.backend.backend()}"
    )
    with console.status("kp.check: looking at model, settings and data"):
        before = check(model, *split.train)
    console.print(before.text(width=console.width, color=console.is_terminal))

    bar = Progress(console, epochs)
    try:
        report = diagnose(
            model,
            *split.train,
            validation_data=split.validation,
            epochs=epochs,
            batch_size=BATCH_SIZE,
            verbose=0,
            directory=folder,
            callbacks=[
                StepDecay(rate=0.5, every=math.ceil(epochs / 3)),
                keras.callbacks.SwapEMAWeights(),
                bar,
            ],
        )
    finally:
        bar.stop()
    metrics = split.test.evaluate(model)
    report = report_test_set(report, split.test)
    console.print(report.text(width=console.width, color=console.is_terminal))
    page = report.save_html(folder / "report.html")
    report.to_json(folder / "report.json")
    validation = report.history.history["val_accuracy"][-1] if report.history else None
    if validation is not None:
        console.print(f"validation accuracy {validation:.4f}")
    console.print(f"test accuracy {metrics['accuracy']:.4f} (opened once)")
    console.print(f"report: [bold]{page}[/]")
    return report, metrics


def _forget(folder):
    """Removes what a former run of the demo left: this one is a new experiment."""
    for name in ("record.jsonl", "report.html", "report.json", "test-set.jsonl"):
        (folder / name).unlink(missing_ok=True)
