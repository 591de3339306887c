"""Learning rate schedules that Keras has not, for the `learning_rate` of optimizers."""

from keras_practices.schedules.cyclical import Cyclical
from keras_practices.schedules.one_cycle import OneCycle
from keras_practices.schedules.scaled import Scaled
from keras_practices.schedules.warmup import Warmup

__all__ = ["Cyclical", "OneCycle", "Scaled", "Warmup"]
