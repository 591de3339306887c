"""Ensembles: several models as one, from training to what each member adds."""

from keras_practices.ensembles.checkpoints import from_checkpoints
from keras_practices.ensembles.checkpoints import from_search
from keras_practices.ensembles.distillation import distill
from keras_practices.ensembles.ensemble import Ensemble
from keras_practices.ensembles.members_report import MembersReport
from keras_practices.ensembles.predict_in_turn import predict_in_turn
from keras_practices.ensembles.selection import select
from keras_practices.ensembles.summary import summary
from keras_practices.ensembles.training import train

__all__ = [
    "Ensemble",
    "MembersReport",
    "distill",
    "from_checkpoints",
    "from_search",
    "predict_in_turn",
    "select",
    "summary",
    "train",
]
