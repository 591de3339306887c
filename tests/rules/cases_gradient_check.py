"""Figures for the rules about the gradient check."""

from rule_cases import Case


def checked(error, *, disconnected=(), penalty=None):
    def entry(relative_error):
        return {
            "relative_error": relative_error,
            "analytic": 1.01,
            "numeric": 1.0,
            "checked": 6,
            "zero": False,
        }

    worst = penalty and {"variable": "late/kernel", "index": 0, **entry(penalty)}
    return {
        "gradient_check": {
            "checked": 12,
            "kinks": 1,
            "worst": {"variable": "early/kernel", "index": 3, **entry(error)},
            "variables": {"early/kernel": entry(error), "late/kernel": entry(1e-9)},
            "disconnected": list(disconnected),
            "stopped": 0,
            "regularization": penalty and {"checked": 6, "kinks": 0, "worst": worst},
            "seconds": 0.5,
        }
    }


CASES = {
    "gradient-check-failed": Case(
        healthy=checked(2e-8, penalty=3e-9),
        sick=checked(0.0099),
        severity="error",
        subject="early/kernel",
        advice="keras.ops.stop_gradient",
        silent=checked(1e-4, penalty=1e-4),
        fires=checked(1.01e-4),
    ),
    "gradient-disconnected": Case(
        healthy=checked(1e-8),
        sick=checked(1e-8, disconnected=["side/kernel", "side/bias"]),
        severity="warning",
        subject="side/kernel",
        advice="layer.trainable = False",
        silent=checked(1e-8),
        fires=checked(1e-8, disconnected=["side/bias"]),
    ),
}
