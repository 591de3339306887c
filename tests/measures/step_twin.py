"""What a training step of any model is to be, measured from outside on a twin."""

import contextlib

import keras
from step_reference import Steps
from step_reference import array
from step_reference import values


@contextlib.contextmanager
def outputs_of_layers():
    """Yields a dict layer name → outputs, by a `__call__` put on the class."""
    found, original = {}, keras.layers.Layer.__call__

    def call(self, *args, **kwargs):
        outputs = original(self, *args, **kwargs)
        leaves = keras.tree.flatten(outputs)
        found.setdefault(self.name, []).append(leaves[0] if leaves else None)
        return outputs

    keras.layers.Layer.__call__ = call
    try:
        yield found
    finally:
        keras.layers.Layer.__call__ = original


def looked_at(model, names):
    """Returns a function of a batch: loss, gradients, and outputs of layers.

    The derivatives are those of the backend itself. Nothing of the model is written,
    so the step that follows draws the same dropout.
    """
    variables, others = model.trainable_variables, model.non_trainable_variables

    def run(values, kept, batch):
        mapping = [
            *zip(variables, values, strict=True),
            *zip(others, kept, strict=True),
        ]
        with keras.StatelessScope(mapping), outputs_of_layers() as outputs:
            x, y, w = batch
            y_pred = model(x, training=True)
            loss = model.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=w)
        return loss, {name: outputs[name] for name in names}

    def state():
        return [v.value for v in variables], [v.value for v in others]

    if keras.backend.backend() == "jax":
        import jax

        function = jax.jit(jax.value_and_grad(run, has_aux=True))
        return lambda batch: function(*state(), batch)
    if keras.backend.backend() == "torch":
        import torch

        def look(batch):
            values, kept = state()
            # Layers without a seed draw from the one generator of the process.
            with torch.random.fork_rng(devices=[]):
                found = run(values, kept, batch)
            return found, torch.autograd.grad(found[0], values, allow_unused=True)

        return look
    import tensorflow as tf

    def look(batch):
        values, kept = state()
        with tf.GradientTape() as tape:
            found = run(values, kept, batch)
        gradients = tape.gradient(found[0], values)
        return found, [
            None if g is None else tf.convert_to_tensor(g) for g in gradients
        ]

    return look


class Watcher(keras.callbacks.Callback):
    """Stands in the training of a twin and measures each of its steps from outside.

    Args:
        batch: `(x, y, sample weights)`, the only batch of each epoch.
        activations: Dict layer name → activation, of all layers that have one.
    """

    def __init__(self, batch, activations):
        super().__init__()
        self.steps = Steps(activations)
        self._batch = batch
        self._look = None
        self._step = None

    def on_epoch_begin(self, epoch, logs=None):
        self.steps.begin_epoch()

    def on_train_batch_begin(self, batch, logs=None):
        model = self.model
        if self._look is None:
            self._look = looked_at(model, self.steps.activations)
        (loss, outputs), gradients = self._look(self._batch)
        outputs = {name: [array(o) for o in calls] for name, calls in outputs.items()}
        paths = [v.path for v in model.trainable_variables]
        known = zip(paths, gradients, strict=True)
        known = {path: array(g) for path, g in known if g is not None}
        before = values(model.trainable_variables)
        self._step = float(array(loss)), before, known, outputs

    def on_train_batch_end(self, batch, logs=None):
        loss, before, gradients, outputs = self._step
        after = values(self.model.trainable_variables)
        self.steps.add(loss, before, after, gradients, outputs)
