"""What each member adds to an ensemble, for all rows of a data set."""

from typing import Any

from keras import ops

from keras_practices.ensembles.plan import Plan
from keras_practices.ensembles.stacked import StackedModel


class Contributions(StackedModel):
    """Gives what each member adds to each output, members along axis 1.

    Args:
        members: The members of an `Ensemble`.
        plan: Its plan.
    """

    def __init__(self, members: Any, plan: Plan):
        super().__init__(name="members", autocast=False)
        self.members = members
        self._plan = plan
        self._predictor = plan.predictor(members, self._side_by_side)
        self.built = True

    def call(self, inputs, training=None):
        """Returns a list of tensors `(rows, members, …)`, one an output."""
        return self._side_by_side(self._plan.ask(self.members, inputs, training))

    def _side_by_side(self, outputs):
        parts = self._plan.parts(self, outputs)
        return [ops.stack(one, axis=1) for one in zip(*parts, strict=True)]
