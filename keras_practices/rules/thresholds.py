"""Every threshold of the rules in one place: value, unit, source, and why."""

# --- inputs -----------------------------------------------------------------
# Root mean square of what reaches the first kernel. CS231n, Neural Networks Part 2,
# "Data preprocessing": zero mean, unit variance. Raw pixels (0–255) have about 80,
# columns with a standard deviation of some units train well: warn a decade above 1.
INPUT_RMS_WARNING = 20.0
INPUT_RMS_ERROR = 50.0

# --- initial loss -----------------------------------------------------------
# CS231n, Neural Networks Part 3, "Sanity checks": softmax on 10 classes starts at
# 2.302. TheDeepChecker reports a loss that is 100 % off (settings.yaml), as we do.
INITIAL_LOSS_FACTOR = 2.0
# Scores of variance v cost v / 2 above ln K, however few the classes; Glorot weights on
# unit inputs give v up to 2. A small healthy net on 3 classes began at 2.3, twice ln 3.
INITIAL_LOSS_SCORES = 1.0
# Squared error has no scale of its own: a Glorot head on n unit inputs gives outputs
# of mean square 2n / (n + 1), spread by its random weights; 4 lies 3.3 standard
# deviations above that for n = 4.
INITIAL_LOSS_MARGIN = 4.0

# --- tiny subset ------------------------------------------------------------
# CS231n, same section: "make sure you can achieve zero cost" on 20 examples. A short
# trial rarely reaches zero, a model that cannot learn keeps nearly everything: half of
# what can be lost lies far from both.
TINY_SUBSET_KEPT = 0.5

# --- loss curve -------------------------------------------------------------
# A smoothed loss that ends above this multiple of its start has diverged
# (TheDeepChecker: grows 2 ×).
DIVERGED_FACTOR = 2.0
# Less than this share of the loss gone: nothing was learned (TheDeepChecker: 5 % in
# each of four windows).
STUCK_SHARE = 0.03
# Steps before a loss curve says anything.
STUCK_MIN_STEPS = 20

# --- learning rate ----------------------------------------------------------
# Ratio of update to weight, CS231n, "Ratio of weights:updates": about 1e-3.
# TheDeepChecker: log10 in [-4, -1].
UPDATE_RATIO_HIGH = 1e-1
UPDATE_RATIO_LOW = 1e-4
# A trial at another rate speaks when it gains this much more of what can be lost…
TRIAL_ADVANTAGE = 0.15
# …and this many times more than the rate in use.
TRIAL_FACTOR = 2.0

# --- units ------------------------------------------------------------------
# Share of a layer's units that give zero on every probe row. SageMaker Debugger and
# TheDeepChecker: more than 50 % of the layer.
DEAD_SHARE_WARNING = 0.5
DEAD_SHARE_ERROR = 0.9
# Fewer rows than this cannot tell a sparse unit from a dead one.
DEAD_MIN_ROWS = 32

# --- generalisation ---------------------------------------------------------
# Validation loss this far above its own minimum while training loss went on falling
# (CS231n, "Train/Val accuracy"; Prechelt, "Early stopping — but when?", 1998,
# generalisation loss GL in percent, α between 1 and 5 for early stopping; we report
# what nobody would call noise).
OVERFIT_RISE = 0.2
# …and by this share of what there was to learn: near zero loss 20 % is rounding.
OVERFIT_RISE_OF_START = 0.05
OVERFIT_MIN_EPOCHS = 3
