"""How far the members of an ensemble err on different rows (NumPy)."""

from typing import Any

import numpy as np

# A member whose classes stand in another order is far below what the right order
# gives. Chance cannot lift a member by this much where a class has so many rows: a
# share of 20 rows has a standard error of 0.11 at most, and 0.3 is 2.7 of these in
# every class at once.
ORDER_GAIN = 0.3
ORDER_ROWS = 20


def disagreement(answers: Any, numbers: bool) -> Any:
    """Returns for each pair the share of answers that differ.

    Args:
        answers: Array `(members, rows, …)`.
        numbers: Bool. Of numbers it is the root of the mean squared difference.

    Returns:
        Array `(members, members)`.
    """
    flat = answers.reshape(len(answers), -1)
    table = np.zeros((len(flat), len(flat)))
    for i in range(len(flat)):
        for j in range(i):
            if numbers:
                value = np.sqrt(np.mean((flat[i] - flat[j]) ** 2))
            else:
                value = np.mean(flat[i] != flat[j])
            table[i, j] = table[j, i] = value
    return table


def error_correlation(errors: Any) -> Any:
    """Returns Pearson's correlation of the errors of each pair, NaN for constants."""
    flat = errors.reshape(len(errors), -1)
    centred = flat - flat.mean(axis=1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=1))
    products = centred @ centred.T / flat.shape[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return products / np.outer(spread, spread)


def q_statistic(right: Any) -> Any:
    """Returns Yule's Q of each pair: 0 where they err independently, 1 together.

    Args:
        right: Array `(members, rows, …)` of 1 for a right answer, else 0.

    Returns:
        Array `(members, members)`, NaN where it has no value.

    References:
        Kuncheva and Whitaker, "Measures of diversity in classifier ensembles", 2003,
        Machine Learning 51, equation 8.
    """
    flat = right.reshape(len(right), -1).astype("float64")
    both, none = flat @ flat.T, (1 - flat) @ (1 - flat).T
    first, second = flat @ (1 - flat).T, (1 - flat) @ flat.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return (both * none - first * second) / (both * none + first * second)


def suspected_order(answers: Any, targets: Any, count: int) -> list[int] | None:
    """Returns in which order a member's classes seem to stand, None for the right one.

    Args:
        answers: Class numbers that a member gave.
        targets: The right ones.
        count: Number of classes.

    Returns:
        List whose entry `i` is the class that the member's output `i` seems to be.
    """
    from scipy.optimize import linear_sum_assignment

    answers, targets = np.ravel(answers), np.ravel(targets)
    table = np.zeros((count, count))
    np.add.at(table, (answers, targets), 1)
    if table.sum(axis=0).min() < ORDER_ROWS:
        return None
    rows, columns = linear_sum_assignment(-table)
    gain = (table[rows, columns].sum() - np.trace(table)) / len(answers)
    return [int(place) for place in columns] if gain > ORDER_GAIN else None
