"""Names of Keras's losses, by what they are made for."""

NUMBER_LOSSES = (
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "huber",
    "log_cosh",
)
# Activations whose values are probabilities.
PROBABILITIES = ("softmax", "sigmoid", "hard_sigmoid")
