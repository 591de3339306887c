"""Search: a model for the digits of scikit-learn, from coarse to fine.

1. 24 points for one epoch each, the best six of them and six fresh ones near by for
   four, the best two for fifteen: 88 epochs instead of the 450 that thirty whole
   trainings would take,
2. the best model, looked at once on rows that no trial has seen,
3. a report of the search: what decided, and whether a range was too narrow.

Stop it at any moment: run again it goes on where it was. Several processes:

    python examples/03_search.py
    python -m keras_practices search master --workers 2 examples/03_search.py
"""

import argparse
import webbrowser

import keras
import rich.progress
from sklearn.datasets import load_digits

import keras_practices as kp

Stage = kp.tuners.Stage
STAGES = [Stage(epochs=1, trials=24), Stage(4, keep=6, trials=6), Stage(15, keep=2)]


def build(hp):
    """Returns a compiled network; `hp` says what may change."""
    activation = hp.Choice("activation", ["relu", "tanh"])
    model = keras.Sequential([keras.Input((64,)), keras.layers.Rescaling(1 / 16)])
    for _ in range(hp.Int("layers", 1, 2)):
        width = hp.Int("width", 16, 128, sampling="log")
        model.add(keras.layers.Dense(width, activation=activation))
        model.add(keras.layers.Dropout(kp.tuners.dropout(hp)))
    model.add(keras.layers.Dense(10, activation="softmax"))
    hp.Choice("batch_size", [16, 32, 64, 128])  # the tuner hands it to `fit`
    model.compile(
        keras.optimizers.Adam(kp.tuners.learning_rate(hp)),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


class Progress(keras.callbacks.Callback):
    """A bar over the trials, with the best score so far."""

    def __init__(self, tuner, bar):
        super().__init__()
        self.tuner, self.bar = tuner, bar
        self.task = bar.add_task("search", total=sum(stage.size for stage in STAGES))

    def __deepcopy__(self, memo):
        return self  # every trial has copies of the callbacks; the bar is one

    def on_epoch_end(self, epoch, logs=None):
        """Shows how many trials have ended."""
        self.show()

    def show(self):
        """Renews the bar."""
        trials = self.tuner.oracle.trials.values()
        ended = [one for one in trials if one.status != "RUNNING"]
        scores = [one.score for one in ended if one.score is not None]
        best = f"{max(scores):.3f}" if scores else "none yet"
        self.bar.update(
            self.task, completed=len(ended), description=f"best accuracy: {best}"
        )


def main(argv=None):
    """Runs the example and returns the accuracies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--directory", default="searches")
    parser.add_argument("--report", default="search.html")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-browser", action="store_true")
    options = parser.parse_args(argv)

    x, y = load_digits(return_X_y=True)
    split = kp.data.Split(x.astype("float32"), y, seed=options.seed)
    tuner = kp.tuners.StagedRandomSearch(
        build,
        "val_accuracy",
        stages=STAGES,
        seed=options.seed,
        directory=options.directory,
        project_name="digits",
    )
    with rich.progress.Progress(
        *rich.progress.Progress.get_default_columns(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeElapsedColumn(),
    ) as bar:
        progress = Progress(tuner, bar)
        tuner.search(
            *split.train,
            validation_data=split.validation,
            verbose=0,
            callbacks=[progress],
        )
        progress.show()

    best = tuner.oracle.get_best_trials(1)[0]
    print(f"best of {len(tuner.oracle.trials)} trials: {best.hyperparameters.values}")
    accuracy = split.test.evaluate(tuner.get_best_models()[0])["accuracy"]
    print(f"accuracy: {best.score:.3f} on validation rows, {accuracy:.3f} on test rows")

    report = kp.report_search(tuner)
    path = report.save_html(options.report).resolve()
    print(f"report: {path}")
    if not options.no_browser:
        webbrowser.open(path.as_uri())
    return {"validation": best.score, "test": accuracy}


if __name__ == "__main__":
    main()
