"""Rules about how the trials of a search ended."""

from keras_practices.rules import thresholds_act as thresholds
from keras_practices.rules.catalogue import rule

BORDER = (
    'CS231n, Neural Networks Part 3, "Hyperparameter optimization": careful with best '
    "values on border"
)
RANGES = (
    'CS231n, Neural Networks Part 3, "Hyperparameter optimization"; Bergstra and '
    "Bengio 2012"
)


@rule("best-on-border", stage="act", needs=("borders",), source=BORDER)
def best_on_border(figures):
    """The best trials of a search crowd at an end of a range.

    What it sees: the independent trials of a search: their ranks over each range, in
    the scale of the range.

    Why it matters: the best value may lie beyond the range, where nothing was tried.

    Example: learning rates from 1e-4 to 1e-1 were drawn, and the best trials have 0.03
    to 0.1.

    Fix: search the range that is named next: the outer third and as much beyond.

    Threshold: scores rise towards the end more steeply than in 95 % of random orders of
    the trials (the steepest of all ranges counts: at most 5 % of searches without an
    effect are called one-sided); the fitted best value lies at the end (0.95 of the
    range) or beyond; half of the best trials lie in the outer 30 %; the trials of the
    outermost tenth stand on the whole in the better two fifths.
    """
    for end in figures["borders"]["ends"]:
        crowded = (
            end["chance"] <= thresholds.BORDER_CHANCE
            and end["peak"] >= thresholds.BORDER_PEAK
            and end["middle"] >= thresholds.BORDER_MIDDLE
            and end["outer"] is not None
            and end["outer"] <= thresholds.BORDER_OUTER
        )
        if not crowded:
            continue
        upper = end["side"] == "high"
        place, beyond = ("upper", "above") if upper else ("lower", "below")
        span = f"{end['low']:g} to {end['high']:g}"
        yield {
            "severity": "warning",
            "subject": end["name"],
            "message": f"The best trials crowd at the {place} end of {end['name']} "
            f"({span}): half of the best {end['best']} lie {beyond} {end['half']:g}.",
            "cause": "The best value may lie beyond the range that was searched.",
            "advice": f"Search {end['name']} from {end['next_low']:g} to "
            f"{end['next_high']:g}.",
            "evidence": end,
        }


@rule("trial-diverged", stage="act", needs=("lost",), source=RANGES)
def trial_diverged(figures):
    """Many trials of a search were lost because their loss ran away.

    What it sees: how many trials ended with a loss that was not finite or diverged,
    and the hyperparameter that sets them apart from the others.

    Why it matters: a part of the range is wasted: its trials cost time and tell
    nothing.

    Example: learning rates up to 10 were drawn, and all above 0.5 gave NaN.

    Fix: end the range where the losses begin to run away, or clip gradients.

    Threshold: more than a fifth of the trials.
    """
    lost = figures["lost"]
    if lost["diverged"] <= thresholds.TRIALS_LOST_SHARE * lost["trials"]:
        return
    apart = lost["apart"]
    where, subject = "", "trials"
    advice = "Narrow the ranges, of the learning rate first, or clip gradients."
    if apart:
        subject = apart["name"]
        where = (
            f"; {apart['there']} of them have {subject} {apart['side']} "
            f"{apart['value']:g}"
        )
        verb = "End" if apart["side"] == "above" else "Begin"
        advice = f"{verb} the range of {subject} at {apart['value']:g}."
    yield {
        "severity": "warning",
        "subject": subject,
        "message": f"The loss ran away in {lost['diverged']} of {lost['trials']} "
        f"trials{where}.",
        "cause": "A part of the space cannot be trained in.",
        "advice": advice,
        "evidence": lost,
    }
