"""Rules about the members of an ensemble."""

from keras_practices.rules.catalogue import rule

SOURCE = (
    "CS231n, Neural Networks Part 3: model ensembles; Dietterich, 2000, Ensemble "
    "Methods in Machine Learning (members must err on different rows)"
)
# Predictions of two equal models part by the rounding of float32, times the terms of
# the longest sums; two models that were trained apart differ in the third digit.
SAME_PREDICTIONS = 1e-6
CAUSES = (
    "One initializer object in several layers or models gives the same values each "
    "time, and so does an integer seed inside the function that builds a member; "
    "keras.models.clone_model copies such seeds; a file or a model was given twice."
)


@rule(
    "ensemble-members-identical",
    stage="act",
    needs=("member_pairs",),
    source=SOURCE,
)
def ensemble_members_identical(figures):
    """Two members of an ensemble are the same model.

    What it sees: the weights of two members, and where rows were given the
    predictions for them.

    Why it matters: equal members make equal errors, so their average is no better
    than one of them, at several times the cost.

    Example: `init = keras.initializers.GlorotUniform()` made once, outside the
    function that builds the members: Keras gives an initializer object one seed, and
    each model the same values. `keras.models.clone_model` copies integer seeds.

    Fix: make initializers inside the function that builds a member, without integer
    seeds, or give their names (`"glorot_uniform"`); `ensembles.train` seeds each.

    Threshold: all weights equal bit for bit, or predictions that differ by no more
    than 1e-6 of their largest size, the rounding of float32.
    """
    for pair in figures["member_pairs"]:
        difference = pair.get("difference")
        near = difference is not None and difference <= SAME_PREDICTIONS
        if not (pair.get("same_weights") or near):
            continue
        what = "weights" if pair.get("same_weights") else "predictions"
        when = pair.get("when") or "are"
        yield {
            "severity": "error",
            "subject": f"{pair['first']}, {pair['second']}",
            "message": f"The {what} of {pair['first']} and {pair['second']} {when} "
            "identical.",
            "cause": CAUSES,
            "advice": "Make initializers inside the function that builds a member, "
            "without integer seeds.",
            "evidence": {"difference": difference, "same": what},
        }
