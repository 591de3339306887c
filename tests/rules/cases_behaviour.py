"""Hand-written figures for the rules on behaviour, modes and penalties."""

from rule_cases import Case
from rule_cases import first_loss
from rule_cases import training


def loss(output="answer", **traits):
    """Figures of a healthy loss of 2.3 with some traits changed."""
    healthy = {
        "rows": 37,
        "prediction": {"min": -3.0, "max": 4.0, "probabilities": False},
        "broadcast": None,
        "value": 2.3,
        "value_at_targets": 0.01,
        "row_growth": 1.0,
        "pairing": 1.04,
        "ignores_targets": False,
        "softmax_inside": False,
        "clips_scores": False,
        "clips_scores_above": False,
        "undefined_on_scores": False,
        "decreases_towards_targets": True,
        "finite": True,
    }
    return {"loss_behaviour": {"other": None, output: {**healthy, **traits}}}


COLUMN = {"prediction": [1], "target": []}
UPHILL = {
    "value": -2.3,
    "value_at_targets": -0.01,
    "decreases_towards_targets": False,
}


def dependence(name, rows=61, **changes):
    figures = {
        "rows": rows,
        "inputs_vary": True,
        "spread": 0.3,
        "outputs_vary": True,
        "rows_mix": False,
    }
    return {name: {**figures, **changes}}


def constant(rows=61, **changes):
    alike = {"outputs_vary": False, "spread": 0.0, **changes}
    before = dependence("output_dependence", rows, **alike)
    return {**before, **dependence("output_dependence_after", rows, **alike)}


def modes(inference, rows=256):
    losses = {"inference_loss": inference, "training_loss": 0.5, "rows": rows}
    return {"modes_after": losses, "constant_loss": 2.0}


def predictions(rows=256, **changes):
    figures = {
        "rows": rows,
        "std": 0.0,
        "target_std": 2.9,
        "distinct_classes": 1,
        "target_distinct": 10,
        "largest_share": 0.12,
        "collapsed": True,
    }
    return {"predictions_after": {"answer": {**figures, **changes}}}


def penalty(value, **run):
    figures = first_loss(1.0)
    figures["initial_loss"]["regularization_loss"] = value
    figures["model"] = {"regularized": ["conv/kernel", "dense/kernel"]}
    return {**figures, **run}


CASES = {
    "loss-reduction": Case(
        healthy=loss(),
        sick=loss(row_growth=2.0),
        severity="warning",
        subject="answer",
        advice="reduction='sum_over_batch_size'",
        silent=loss(row_growth=1.899),
        fires=loss(row_growth=1.9),
    ),
    "prediction-target-broadcast": Case(
        healthy=loss(broadcast=COLUMN, pairing=1.3),
        sick=loss(broadcast=COLUMN, pairing=1.0),
        severity="error",
        subject="answer",
        advice="y = y[:, None]",
        silent=loss(broadcast=COLUMN, pairing=1 + 2e-5),
        fires=loss(broadcast=COLUMN, pairing=1 + 5e-6),
    ),
    "loss-uphill": Case(
        healthy=loss(),
        sick=loss(**UPHILL),
        severity="error",
        subject="answer",
        advice="negative of the loss",
        silent=loss(**{**UPHILL, "value": 0.0, "value_at_targets": 1.0}),
        fires=loss(**{**UPHILL, "value": -0.02}),
    ),
    "rows-mixed": Case(
        healthy=dependence("output_dependence"),
        sick=dependence("output_dependence", rows_mix=True),
        severity="error",
        subject="outputs",
        advice="axis=-1",
        silent=dependence("output_dependence", rows_mix=None),
        fires=dependence("output_dependence", rows_mix=True, spread=1e-3),
    ),
    "output-ignores-inputs": Case(
        # A head that begins at zero.
        healthy={**constant(), **dependence("output_dependence_after")},
        sick=constant(),
        severity="error",
        subject="outputs",
        advice="keras.Model(model.inputs, layer.output)",
        silent=constant(rows=15),
        fires=constant(rows=16),
    ),
    "train-inference-mismatch": Case(
        healthy=modes(0.6),
        sick=modes(3.0),
        severity="warning",
        subject="inference mode",
        advice="momentum=0.9",
        silent=modes(1.0),
        fires=modes(1.001),
    ),
    "predictions-collapsed": Case(
        healthy=predictions(distinct_classes=9, collapsed=False),
        sick=predictions(),
        severity="warning",
        subject="answer",
        advice="learning rate ÷10",
        silent=predictions(rows=31),
        fires=predictions(rows=32),
    ),
    "regularization-dominates": Case(
        healthy=penalty(0.5),
        sick=penalty(124.0),
        severity="warning",
        subject="conv/kernel",
        advice="Divide the strength of the regularisers by 1000",
        silent=penalty(6.0, **training(last_loss=1.9)),
        fires=penalty(6.01, **training(last_loss=1.9)),
    ),
}
