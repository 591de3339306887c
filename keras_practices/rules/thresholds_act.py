"""Thresholds of rules about what is done with models; `thresholds` has the others."""

# --- searches ---------------------------------------------------------------
# Of searches in which no hyperparameter has an effect, one in twenty may be called
# one-sided, over all its ranges together (Westfall and Young 1993, max-T).
BORDER_CHANCE = 0.05
# That the best values lie at the end and not merely towards it: the fitted best value
# at the end (0.95 of the range) or beyond, half of the best trials in the outer 30 %,
# and the trials of the outermost tenth on the whole in the better two fifths. What
# these find and what they miss: benchmarks/search_border.py.
BORDER_PEAK = 0.95
BORDER_MIDDLE = 0.7
BORDER_OUTER = 0.4
# A fifth of the trials lost to losses that ran away: the search could have had a
# quarter more. Random search spends its trials where the range says (Bergstra and
# Bengio 2012).
TRIALS_LOST_SHARE = 0.2
