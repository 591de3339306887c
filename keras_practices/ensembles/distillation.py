"""A large model, or an ensemble, taught to one small model."""

from typing import Any
from typing import NamedTuple

import keras
from keras import ops

from keras_practices._core.fit_internals import compile_arguments
from keras_practices._core.model_layers import all_layers
from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_number
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.ensembles.distillation_kinds import as_logits
from keras_practices.ensembles.distillation_kinds import kind_of_student
from keras_practices.ensembles.distillation_kinds import kind_of_teacher
from keras_practices.errors import UsageError
from keras_practices.measures.sample import take_sample

_OWNER = "distill"
# Rows that show what the two models give.
_ROWS = 64


class Distilled(NamedTuple):
    """What `distill` returns: the trained student, and the history of its `fit`."""

    student: keras.Model
    history: keras.callbacks.History


def distill(
    teacher: keras.Model,
    student: keras.Model,
    x: Any,
    y: Any = None,
    *,
    temperature: float = 3.0,
    alpha: float = 0.5,
    teacher_output: str = "auto",
    **fit: Any,
) -> Distilled:
    """Trains a classifier on what another one says, and on the labels.

    The loss is `(1 - alpha)` times the student's own, plus `alpha` times
    `temperature ** 2` times the divergence of the student's probabilities from the
    teacher's, both softened by the temperature (`keras.distillation.Distiller` with
    `LogitsDistillation`), plus the student's penalties. The teacher is run as it
    predicts, batch by batch, and stays as it is. Optimizer, loss and metrics are those
    the student was compiled with; afterwards it can be saved, evaluated and trained
    on without the teacher.

    `LogitsDistillation` takes what it gets for logits: probabilities would be softened
    twice, and of one sigmoid unit nothing would be learned, without a word. So both
    outputs are looked at, on a few rows, and probabilities are turned back into logits
    (softmax: their logarithm; sigmoid: two classes for each unit). Teacher and student
    may differ in this. For a regression no divergence is needed: train the student on
    `teacher.predict(x)`.

    Args:
        teacher: Trained Keras model with one output, such as an
            `keras_practices.ensembles.Ensemble`.
        student: Built and compiled classifier of the same output shape, its loss a
            crossentropy.
        x: What `fit` takes: arrays, or a dataset of `(x, y)`.
        y: Labels for arrays. None trains on what the teacher says alone, without the
            student's metrics.
        temperature: Number above 0. 2 to 5 show which wrong classes are near.
        alpha: Number in (0, 1], share of the teacher. 1 leaves the labels out.
        teacher_output: `"logits"`, `"probabilities"`, or `"auto"`, which finds out.
        **fit: What else `fit` takes: `epochs`, `batch_size`, `validation_data`,
            `callbacks`, …. No weights. Callbacks see the distiller, whose `student` is
            the student: what `ModelCheckpoint` writes has the teacher in it.

    Returns:
        `(student, history)`. In the history `loss` is the whole, `student_loss` the
        student's own, `distillation_loss` the divergence times `temperature ** 2`.

    Raises:
        RuntimeError: the student is not compiled or not built, shares weights with
            the teacher, has no crossentropy as its loss or a head that does not fit
            it; output shapes differ; probabilities in half precision.
        TypeError, ValueError: bad arguments or data.

    Example:

    >>> x = np.random.default_rng(0).normal(size=(64, 4))
    >>> teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> student = keras.Sequential(
    ...     [keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    >>> student.compile("adam", "sparse_categorical_crossentropy")
    >>> student, history = distill(teacher, student, x, epochs=2, verbose=0)
    >>> sorted(history.history)
    ['distillation_loss', 'loss', 'student_loss', 'total_loss']

    References:
        G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network"
        (2015), arXiv:1503.02531. CS231n, Neural Networks Part 3: "dark knowledge".
    """
    _check_models(teacher, student)
    check_number(_OWNER, "temperature", temperature, low=0, closed="neither")
    check_number(_OWNER, "alpha", alpha, low=0, high=1, closed="right")
    choices = ("auto", "logits", "probabilities")
    check_choice(_OWNER, "teacher_output", teacher_output, choices)
    for name in ("sample_weight", "class_weight"):
        if fit.get(name) is not None:
            raise value_error(
                _OWNER, name, "None", fit[name], "keras.distillation ignores weights."
            )
    sample = take_sample(x, y, owner=_OWNER, max_rows=_ROWS)
    rows = keras.tree.map_structure(ops.convert_to_tensor, _in_floatx(sample.x))
    outputs = teacher(rows, training=False), student(rows, training=False)
    _check_outputs(*outputs)
    own = kind_of_student(student, sample, outputs[1])
    kinds = kind_of_teacher(teacher, sample, outputs[0], own, teacher_output), own
    # Without labels the share of the student's own loss has nothing to say.
    share = alpha if sample.y is not None else 1.0

    masks = _masks(teacher)
    try:
        distiller = _Distiller(
            teacher=teacher,
            student=student,
            distillation_losses=_KindsDistillation(temperature, kinds),
            student_loss_weight=1.0 - share,
        )
        given = compile_arguments(student) or {}
        metrics = keras.tree.flatten(given.get("metrics") or [])
        distiller.compile(
            optimizer=student.optimizer,
            loss=_OwnLoss(student),
            # In training Keras has them look at labels, also where there are none.
            metrics=[] if sample.y is None else metrics,
            run_eagerly=student.run_eagerly,
            jit_compile=given.get("jit_compile", "auto"),
            # It is the student's, which has been wrapped where it is needed.
            auto_scale_loss=False,
        )
        arrays = sample.batch_size is None
        history = distiller.fit(x if arrays else sample.data, y, **fit)
    finally:
        for item, trainable in masks:
            item.trainable = trainable
    return Distilled(student, history)


class _Distiller(keras.distillation.Distiller):
    """Keras's, which forgets penalties and passes weights over."""

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        if sample_weight is not None:
            raise UsageError(
                f"{_OWNER}: the data bring sample weights, which keras.distillation "
                "ignores. Map the dataset to (x, y)."
            )
        loss = super().compute_loss(x, y, y_pred, None, training)
        for penalty in self.student.losses:
            loss = loss + ops.cast(penalty, loss.dtype)
        return loss


class _OwnLoss:
    """The student's compiled loss, which knows how labels are shaped.

    Of a name Keras's distiller makes a function, and with labels of shape `(rows,)`
    beside an output `(rows, 1)` that would compare each row with all others.
    """

    def __init__(self, student):
        self._student = student

    def __call__(self, y, y_pred):
        loss = self._student.compute_loss(y=y, y_pred=y_pred)
        for penalty in self._student.losses:  # these are added once, for all shares
            loss = loss - ops.cast(penalty, loss.dtype)
        return loss


class _KindsDistillation(keras.distillation.LogitsDistillation):
    """`LogitsDistillation` of models that may give probabilities."""

    def __init__(self, temperature, kinds):
        # An object: by name, which is the default, Keras 3.15 finds the function, for
        # which it takes the logits themselves to be probabilities.
        loss = keras.losses.KLDivergence()
        super().__init__(float(temperature), loss)
        self._kinds = kinds

    def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
        teacher, student = self._kinds
        return super().compute_loss(
            as_logits(teacher_outputs, teacher), as_logits(student_outputs, student)
        )


def _check_models(teacher, student):
    for name, model in (("teacher", teacher), ("student", student)):
        if not isinstance(model, keras.Model):
            raise type_error(_OWNER, name, "a keras.Model", model)
        if not model.built:
            raise UsageError(
                f"{_OWNER}: the {name} has no weights yet. Call it once, or begin it "
                "with keras.Input."
            )
    if not student.compiled:
        raise UsageError(
            f"{_OWNER}: the student must be compiled: its optimizer, loss and metrics "
            "are used. Call student.compile(...) first."
        )
    known = {id(v) for v in teacher.variables}
    if any(id(v) in known for v in student.variables):
        raise UsageError(
            f"{_OWNER}: teacher and student share weights, and the teacher would "
            "change while it teaches. Build the student anew."
        )


def _check_outputs(teacher, student):
    for name, output in (("teacher", teacher), ("student", student)):
        if not ops.is_tensor(output):
            raise UsageError(
                f"{_OWNER}: the {name} must have one output. It gives "
                f"{len(keras.tree.flatten(output))}."
            )
    shapes = tuple(teacher.shape[1:]), tuple(student.shape[1:])
    if shapes[0] != shapes[1]:
        raise UsageError(
            f"{_OWNER}: outputs must have one shape. That of the teacher is "
            f"{shapes[0]}, of the student {shapes[1]}, rows left out. Give the "
            "student's last layer as many units as there are classes."
        )


def _in_floatx(x):
    def convert(array):
        double = array.dtype == "float64"
        return array.astype(keras.config.floatx()) if double else array

    return keras.tree.map_structure(convert, x)


def _masks(model):
    """What is trainable, layers from the outside in: each hands it on to its parts."""
    masks = [(layer, layer.trainable) for layer in all_layers(model, itself=True)]
    return masks + [(v, v.trainable) for v in model.variables]
