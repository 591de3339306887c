"""Figures for the rules about the members of an ensemble."""

from rule_cases import Case


def pair(same_weights=False, difference=None):
    return {
        "member_pairs": [
            {"first": "member 0", "second": "member 1", "same_weights": False},
            {
                "first": "member 0",
                "second": "member 2",
                "same_weights": same_weights,
                "difference": difference,
            },
        ]
    }


CASES = {
    "ensemble-members-identical": Case(
        healthy=pair(difference=0.03),
        sick=pair(same_weights=True, difference=0.0),
        severity="error",
        subject="member 0, member 2",
        advice="without integer seeds",
        silent=pair(difference=1.01e-6),
        fires=pair(difference=1e-6),
    ),
}
