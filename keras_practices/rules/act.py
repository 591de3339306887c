"""Rules about what is done with a trained model."""

from keras_practices.rules.catalogue import rule

VAULT = "CS231n, Image Classification: Validation sets for hyperparameter tuning"


@rule("test-set-reused", stage="act", needs=("openings",), source=VAULT)
def test_set_reused(figures):
    """The test set was opened more than once.

    What it sees: the ledger of a `Vault`.

    Why it matters: each look at the test set that leads to a change turns it into a
    validation set; its figure is then too good.

    Example: trying five models and reporting the best test accuracy.

    Fix: choose on the validation part; report the first opening, or collect new test
    rows.

    Threshold: two openings.
    """
    openings = figures["openings"]
    if len(openings) < 2:
        return
    reasons = [opening.get("reason") or "none given" for opening in openings[1:]]
    yield {
        "severity": "warning",
        "subject": "test set",
        "message": f"The test set was opened {len(openings)} times "
        f"(reasons: {'; '.join(reasons)}).",
        "cause": "Its figures took part in choosing a model.",
        "advice": "Report the first opening, or collect new test rows.",
        "evidence": {"openings": len(openings), "reasons": reasons},
    }
