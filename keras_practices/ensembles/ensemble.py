"""Several models as one."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_practices._core.registration import register
from keras_practices._core.validation import value_error
from keras_practices.ensembles.contributions import Contributions
from keras_practices.ensembles.members import check_distinct
from keras_practices.ensembles.members import check_members
from keras_practices.ensembles.members import serialized
from keras_practices.ensembles.members import without_optimizers
from keras_practices.ensembles.outputs import check_weights
from keras_practices.ensembles.outputs import finished
from keras_practices.ensembles.outputs import finished_arrays
from keras_practices.ensembles.plan import Plan
from keras_practices.ensembles.stacked import StackedModel
from keras_practices.errors import UsageError
from keras_practices.measures.model_card import measure_loss


@register
class Ensemble(StackedModel):
    """A model that asks several models and combines their answers.

    It predicts, evaluates (after `compile(loss=…, metrics=…)`, no optimizer) and is
    saved in one `.keras` file like any other model; the members run as one graph. Of
    classes and labels it always gives probabilities, also where members give logits:
    compile it without `from_logits`.

    The members are held, not copied: what is trained further changes the ensemble.
    What their training added to the loss (regularizers) is not in its loss, and
    their optimizers are not in its file.

    Args:
        members: List of built models with the same inputs and outputs. They may
            differ in everything else.
        combine: `"probabilities"`, the mean of the probabilities; `"logits"`, the
            normalised geometric mean (the softmax of the mean of logits;
            probabilities rounded to 0 count as the least above); `"votes"`,
            the share of members for which the class is the most probable, or the
            label more probable than not; `"mean"`, the mean of what members give,
            as it is. One of these, or one for each output in the structure of the
            outputs. None: probabilities of classes and labels, the mean of numbers.
        weights: Numbers of at least 0, one a member; they are divided by their sum.
            None: all the same.
        member_outputs: What members give: `"softmax"`, `"sigmoid"` (probabilities),
            `"softmax_logits"`, `"sigmoid_logits"`, `"scores"` (of a hinge loss), or
            `"numbers"`. One for all, in the structure of the outputs where there are
            several, or a list of such with one entry a member. None: found from the
            last activation and the compiled loss of each.
        classes: List with one list of class names a member, in the order of its
            outputs, where the orders differ. None: all have the same order.
        class_order: List of the class names in the order of the ensemble's outputs.
            None: that of the first member.
        allow_identical: Bool. Take members with equal weights, which are refused
            otherwise: models whose weights are loaded later.
        **kwargs: `name`, `dtype` of the model.

    Attributes:
        members: List of the models.
        classes: Class names in the order of the outputs, or None.

    Raises:
        TypeError, ValueError: bad arguments; members of other shapes, other class
            names, or for another task; an output of which it cannot be told what it
            is.
        RuntimeError: a member that is not built; members with identical weights
            (`ensemble-members-identical`).

    Cost:
        Time and memory of all members. `predict_in_turn` needs the memory of one. On
        PyTorch `predict` puts the weights of small members of one architecture side by
        side, a second copy as long as it runs, and traces the steps of a batch (0.1 s)
        once its shape has come ten times.

    Example:

    >>> def build():
    ...     layers = [keras.Input((4,)), keras.layers.Dense(3, activation="softmax")]
    ...     return keras.Sequential(layers)
    >>> ensemble = kp.ensembles.Ensemble([build(), build()])
    >>> x = np.ones((5, 4), "float32")
    >>> probabilities = ensemble.predict(x, verbose=0)
    >>> probabilities.shape, ensemble.predict_members(x).shape
    ((5, 3), (2, 5, 3))

    References:
        CS231n, "Neural Networks Part 3", model ensembles; Lakshminarayanan, Pritzel
        and Blundell, "Simple and scalable predictive uncertainty estimation using
        deep ensembles", 2017, NeurIPS.
    """

    def __init__(
        self,
        members: Sequence[keras.Model],
        combine: Any = None,
        weights: Sequence[float] | None = None,
        *,
        member_outputs: Any = None,
        classes: Sequence[Sequence[Any]] | None = None,
        class_order: Sequence[Any] | None = None,
        allow_identical: bool = False,
        **kwargs: Any,
    ):
        # Members cast by themselves; ids and float64 must reach them as they are.
        super().__init__(autocast=False, **kwargs)
        labels = check_members(self, members)
        self._plan = Plan(
            self,
            members,
            labels,
            combine=combine,
            weights=weights,
            member_outputs=member_outputs,
            classes=classes,
            class_order=class_order,
        )
        if not allow_identical:
            check_distinct(self, members, labels)
        self.members = list(members)
        self.allow_identical = allow_identical
        if type(self).call is Ensemble.call:
            self._predictor = self._plan.predictor(self.members, self._combined)
        self.built = True

    @property
    def classes(self) -> list[Any] | None:
        """Class names in the order of the outputs, or None."""
        known = self._plan.class_order
        return None if known is None else list(known)

    @property
    def output_kinds(self) -> list[str]:
        """What the ensemble gives: one of the kinds of `member_outputs` an output."""
        return list(self._plan.given)

    @property
    def weights_of_members(self) -> list[float]:
        """Weights of the members; their sum is 1."""
        return list(self._plan.weights)

    @property
    def kinds_of_members(self) -> list[list[str]]:
        """What each output of each member is, in flat order."""
        return [list(kinds) for kinds in self._plan.kinds]

    @property
    def ways(self) -> list[str]:
        """How each output is combined, in flat order."""
        return list(self._plan.ways)

    @property
    def output_structure(self) -> Any:
        """Structure of the outputs with 0 for each; known after `contributions`."""
        return self._plan.structure

    def subset(self, weights: Sequence[float]) -> "Ensemble":
        """Returns an ensemble of the members whose weight is above 0.

        Args:
            weights: Numbers of at least 0, one for each member of this ensemble.

        Raises:
            TypeError, ValueError: other weights.
        """
        shares = check_weights(self, weights, len(self.members))
        kept = [place for place, share in enumerate(shares) if share]
        plan = self._plan
        return Ensemble(
            [self.members[place] for place in kept],
            plan.combine,
            [shares[place] for place in kept],
            member_outputs=[plan.kinds[place] for place in kept],
            classes=plan.classes and [plan.classes[place] for place in kept],
            class_order=plan.class_order,
            allow_identical=True,  # asked when this ensemble was made
        )

    @property
    def losses(self) -> list[Any]:
        """Empty: penalties on the members' weights belong to their training."""
        return []

    def call(self, inputs, training=None):
        """Returns the combined outputs, in the structure of the first member's."""
        return self._combined(self._plan.ask(self.members, inputs, training))

    def _combined(self, outputs):
        parts = self._plan.parts(self, outputs)
        totals = []
        for place, way in enumerate(self._plan.ways):
            total = 0.0
            for weight, part in zip(self._plan.weights, parts, strict=True):
                total = total + weight * part[place]
            totals.append(finished(total, self._plan.kinds[0][place], way))
        return keras.tree.pack_sequence_as(outputs[0], totals)

    def predict_members(self, x: Any, batch_size: int | None = None) -> Any:
        """Returns what each member says by itself: their spread is an uncertainty.

        Args:
            x: What `predict` takes.
            batch_size: Integer, or None for Keras's 32. Rows of a batch.

        Returns:
            Array `(members, rows, …)` of what the ensemble would give with that
            member alone (probabilities, votes, or numbers), in the structure of the
            outputs, classes in the order of the ensemble.
        """
        outputs = self.contributions(x, batch_size)
        places = zip(outputs, self._plan.kinds[0], self._plan.ways, strict=True)
        arrays = [finished_arrays(*one).astype(one[0].dtype) for one in places]
        return keras.tree.pack_sequence_as(self._plan.structure, arrays)

    def contributions(self, x: Any, batch_size: int | None = None) -> list[Any]:
        """Returns what is weighted and summed: one array an output, members first."""
        if self._plan.asker is None:
            self._plan.asker = Contributions(self.members, self._plan)
        stacked = self._plan.asker.predict(x, batch_size=batch_size, verbose=0)
        return [np.moveaxis(one, 1, 0) for one in stacked]

    def compile(self, optimizer: Any = None, loss: Any = None, **kwargs: Any) -> None:
        """Sets loss and metrics for `evaluate`, as of any model.

        Args:
            optimizer: None.
            loss: What `keras.Model.compile` takes.
            **kwargs: Further arguments of it, such as `metrics`.

        Raises:
            ValueError: a loss that takes logits, where the ensemble gives
                probabilities.
        """
        logits = any(kind.endswith("_logits") for kind in self._plan.given)
        for one in keras.tree.flatten(loss) if loss is not None else []:
            if not logits and measure_loss(one)["from_logits"]:
                expected = "one of probabilities, which the ensemble gives"
                raise value_error(self, "loss", expected, one, "Leave out from_logits.")
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a loaded ensemble."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Refused: members are trained one by one.

        Raises:
            RuntimeError: always.
        """
        raise UsageError(
            "Ensemble: an ensemble is not trained as one model, which would make its "
            "members alike. Train them by keras_practices.ensembles.train."
        )

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Writes one `.keras` file, without the optimizers of the members."""
        with without_optimizers(self.members):
            super().save(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "members": [serialized(member) for member in self.members],
            "combine": self._plan.combine,
            "weights": list(self._plan.weights),
            "member_outputs": [list(kinds) for kinds in self._plan.kinds],
            "classes": self._plan.classes,
            "class_order": self._plan.class_order,
            "allow_identical": self.allow_identical,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "Ensemble":
        """Builds the ensemble from what `get_config` returned."""
        members = [
            keras.saving.deserialize_keras_object(one, custom_objects=custom_objects)
            for one in config["members"]
        ]
        # Weights come later: until then seeds can make members alike.
        made = cls(**{**config, "members": members, "allow_identical": True})
        made.allow_identical = config["allow_identical"]
        return made
