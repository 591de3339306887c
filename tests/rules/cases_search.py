"""Figures of searches for the tests of the rules."""

from rule_cases import Case


def border(**changes):
    end = {
        "name": "rate",
        "side": "high",
        "low": 1e-4,
        "high": 1e-1,
        "scale": "log",
        "chance": 0.001,
        "peak": 1.2,
        "middle": 0.9,
        "best": 6,
        "half": 0.05,
        "outer": 0.1,
        "next_low": 1e-2,
        "next_high": 1.0,
    }
    ends = [{**end, **changes}]
    return {"borders": {"trials": 48, "best": 6, "why": "", "ends": ends}}


def lost(diverged, trials=50, apart=None):
    figures = {"trials": trials, "diverged": diverged, "numbers": [], "apart": apart}
    return {"lost": figures}


CASES = {
    "best-on-border": Case(
        healthy=border(chance=0.4, peak=0.5, middle=0.5),
        sick=border(),
        severity="warning",
        subject="rate",
        advice="Search rate from 0.01 to 1.",
        silent=border(chance=0.051),
        fires=border(chance=0.05),
    ),
    "trial-diverged": Case(
        healthy=lost(1),
        sick=lost(
            30,
            apart={
                "name": "rate",
                "side": "above",
                "value": 0.03,
                "there": 29,
                "chance": 1e-6,
            },
        ),
        severity="warning",
        subject="rate",
        advice="End the range of rate at 0.03.",
        silent=lost(10),
        fires=lost(11),
    ),
}
