"""The first loss and the weight penalty, checked before the first step of `fit`."""

from keras_practices.callbacks.before_fit import BeforeFit
from keras_practices.measures import before
from keras_practices.measures.arrays import measure_finite
from keras_practices.measures.model_card import has_custom_train_step
from keras_practices.measures.model_card import measure_model


class SanityCheck(BeforeFit):
    """Checks the first loss and the weight penalty before the first step.

    Looks for a first loss at chance level (ln K for K classes), for weight penalties
    that raise the loss, and for inputs that are finite and of unit scale at the first
    kernel. The model's variables are only read: training begins and ends with the
    same weights, bit for bit, as without the callback.

    State: `findings`. Cost: a few forward passes of at most 256 rows.

    Args:
        data: What to look at: `(x, y)` or `(x, y, sample_weight)`, a `Part`, or a
            dataset. Use training rows.
        on_failure: `"warn"` (one warning, training goes on) or `"stop"`
            (`SanityCheckError` before the first step, where an error was found).

    Attributes:
        findings: List of `Finding` of the last run.

    Raises:
        TypeError, ValueError: bad arguments or data.

    Example:

    >>> import keras, numpy as np
    >>> x, y = np.random.default_rng(0).normal(size=(64, 4)), np.arange(64) % 3
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    >>> model.compile("sgd", "sparse_categorical_crossentropy")
    >>> check = SanityCheck(data=(x, y))
    >>> history = model.fit(x, y, verbose=0, callbacks=[check])
    >>> check.findings
    []

    References:
        CS231n, Neural Networks Part 3: "Before learning: sanity checks".
    """

    rules = (
        "inputs-not-finite",
        "targets-not-finite",
        "inputs-not-scaled",
        "initial-loss-off-chance",
        "regularization-has-no-effect",
    )

    def measure(self, model, sample):
        """Returns the figures that the rules of this check read."""
        figures = {
            "inputs_finite": measure_finite(sample.x, "inputs"),
            "targets_finite": measure_finite(sample.y, "targets"),
            "model": measure_model(model),
            **before.figures_of_outputs(model, sample),
            **before.figures_of_layers(model, sample),
        }
        if not has_custom_train_step(model):
            figures |= before.figures_of_initial_loss(model, sample, figures["outputs"])
        return figures
