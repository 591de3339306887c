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
# Squared error has no scale of its own: a Glorot head on n unit inputs gives outputs of
# mean square 2n / (n + 1); 4 lies 3.3 standard deviations above that for n = 4.
INITIAL_LOSS_MARGIN = 4.0

# --- schedules ---------------------------------------------------------------
# A cosine is below 1 % of its start for the last 6 % of the steps, an exponential decay
# by a thousand for the last third.
RATE_FADED_SHARE = 0.4
# A short trial ends so much below the training, as a share of its loss.
RATE_FADED_GAIN = 0.9

# --- tiny subset ------------------------------------------------------------
# CS231n, same section: "make sure you can achieve zero cost" on 20 examples. A short
# trial rarely reaches zero, a model that cannot learn keeps nearly everything.
TINY_SUBSET_KEPT = 0.5
# Fewer steps than this, where the time was up, have not tried.
TINY_SUBSET_STEPS = 100

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
# Where trials of some dozen steps led nowhere (recurrent layers are slow to start) a
# ratio this small speaks by itself, if the gradient has this share of the weights: a
# gradient that faded has other causes.
UPDATE_RATIO_STILL = 1e-5
GRADIENT_PULLS = 1e-3
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

# --- outcome of a training ----------------------------------------------------
# Shares of the loss of guessing that are still there. A training that lost 70 % of it
# works, whatever its settings look like; one that kept 80 % does not. Between the two
# nothing is concluded from the outcome.
LEARNED_KEPT = 0.3
NOWHERE_KEPT = 0.8

# --- shape of the loss curve ----------------------------------------------------
# A rise of the smoothed loss counts from this share of what there was to learn on
# (AutoTrainer counts accuracy swings of 0.03 in a fifth of the epochs, which batches
# of a healthy run reach)…
SWING_SHARE = 0.2
# …and from so many standard errors of a smoothed point on: batches differ.
SWING_ERRORS = 4.0
# Rises until a smoothed curve of 20 points oscillates, and until losses of epochs do.
# BatchNorm's moving statistics make one hump at the start of a healthy run.
SWINGS_OF_CURVE = 3
SWINGS_OF_EPOCHS = 2
# Deviation of the batch losses around their own run, as a share of what there was to
# learn, at 32 rows a batch; it falls with the root of the rows. Guessing gives 0.1 for
# classes and 0.25 for squared error.
NOISE_SHARE = 0.5
# Rows a batch up to which the noise of the gradient is its own cause.
SMALL_BATCH = 4
# Noise of the batch losses beside what the training gained on guessing, and what must
# be left of the loss of guessing: noisy targets give noisy batches too.
NOISE_TO_GAIN = 1.0
NOISY_KEPT = 0.7
# …and a rise of the loss on the probe, as a share of what there was to learn. Under
# noisy targets the loss on the probe is steady with one row a batch.
NOISY_SWING = 0.1

# --- gradients --------------------------------------------------------------------
# Gradient in the first third of the kernels by that in the last third, per weight
# (AutoTrainer: norms, first by last layer, 1e-3; TheDeepChecker: mean below 1e-6).
VANISHING_RATIO = 1e-3
VANISHING_MIN_KERNELS = 4
# Gradient of a kernel by the kernel, in norms. A healthy step has about 1; a first loss
# that is a hundred times too large still gives 100. TheDeepChecker: mean above 1e6,
# AutoTrainer: first by last layer above 70.
EXPLODING_RATIO = 1e3
# Growth of the gradient norm over a run, where the ratio is large too (at least 10).
EXPLODING_GROWTH = 100.0
EXPLODING_GROWN_RATIO = 10.0
# Growth of a kernel's norm, where it also ends this far above Glorot's initial scale:
# kernels that begin small may grow. TheDeepChecker: four doublings or 1e8.
WEIGHT_GROWTH = 10.0
WEIGHT_TO_GLOROT = 5.0
WEIGHT_DOUBLINGS = 3

# --- saturation -------------------------------------------------------------------
# Share of a layer's outputs at its flat ends (TheDeepChecker: rho_B above 0.85 in half
# of the neurons). Half of a trained tanh layer may stand there in a net that works.
SATURATED_SHARE = 0.7

# --- length and quality of a training ------------------------------------------------
# Share of what there is to learn that a trial at the own rate gains at least where the
# time was too short; below it the rate is too low.
SHORT_GAIN = 0.1
# Steps below which a training is short, and epochs, where these are few steps too.
SHORT_STEPS = 150
SHORT_EPOCHS = 2
SHORT_EPOCHS_STEPS = 400
# Steps in which a sound network may not have left the loss of guessing yet.
SHORT_START = 60
# Share of the loss of guessing that a training that was too short has left.
SHORT_KEPT = 0.4
# Share of what can be lost that the last of a few epochs took off the probe.
SHORT_LAST_EPOCH = 0.08
SHORT_FEW_EPOCHS = 5
# What the last third of a falling loss loses, as a share of the whole fall: a straight
# line a third, an exponential that is through with it nearly nothing.
STILL_FALLING_SHARE = 0.15
# …and as a share of what there was to learn, and in standard errors.
STILL_FALLING_OF_ALL = 0.03
STILL_FALLING_ERRORS = 3.0
PLATEAU_SHARE = 0.05
# Steps after which a plateau says something about the model.
PLATEAU_STEPS = 200
UNDERFITTED_KEPT = 0.5

# --- learning rate, more -------------------------------------------------------------
# From the same weights, in as many steps, a tenth of the rate gains this much more of
# what there is to learn: then the rate is too high although the training moved.
TRIAL_LEAD = 0.3
# Steps of a trial that say something.
TRIAL_MIN_STEPS = 10
# A rate that is too low has gained less than this share, or its loss still falls…
LOW_RATE_GAINED = 0.2
# …and more than this share of the loss of guessing is left, else it only was slow.
LOW_RATE_KEPT = 0.5
# The loss rose to this multiple of the larger one of its start and guessing on the way.
BLOWN_UP_FACTOR = 5.0
# …or the mean over a piece of the curve to this one: single batches that exploded.
BLOWN_UP_SPIKE = 100.0

# --- overfitting, more ----------------------------------------------------------------
# A rise of the validation loss by less than a tenth of the first loss is common in
# runs that end well (confidence of a few wrong rows).
OVERFIT_RISE_OF_FIRST = 0.1
# Training loss this close to its floor, in shares of the loss of guessing, while the
# validation loss is above that of guessing: the rows are known by heart.
BY_HEART_KEPT = 0.1

# --- first layer --------------------------------------------------------------------
# Smoothness of filters: 0 is white noise as initial weights are, 1 a constant (CS231n,
# Neural Networks Part 3, "First-layer visualizations"). Kernels of 3 × 3 are too small
# to tell.
FILTERS_SMOOTH = 0.2
FILTERS_MIN_SIZE = 5

# --- behaviour of the loss ----------------------------------------------------
# Loss of the rows taken twice ÷ loss of the rows: 1 for a mean, 2 for a sum.
# TheDeepChecker doubles the batch five times and asks for a doubling each time; one
# doubling on the same rows is exact, the margin is for penalties inside a loss.
LOSS_ROW_GROWTH = 1.9
# Loss with the targets in another order ÷ in theirs, off 1 by this at most: rounding
# of float32 sums. A loss that compares row with row is off by per cents.
PAIRING_SAME = 1e-5

# --- modes ----------------------------------------------------------------------
# Inference loss beside that in training mode on the same rows, noise off, and the
# difference as a share of the loss of guessing. TheDeepChecker: a relative difference
# of 0.5, which a healthy net near zero loss shows too; hence the share.
MODES_FACTOR = 2.0
MODES_SHARE = 0.3
MODES_NOTE_SHARE = 0.1
# Fewer rows make statistics of the batch that are none.
MODES_MIN_ROWS = 32
DEPENDENCE_MIN_ROWS = 16
COLLAPSED_MIN_ROWS = 32
# With 90 % of one class, a threshold of 0.5 may pick it everywhere and be right.
COLLAPSED_LARGEST_SHARE = 0.9

# --- penalties --------------------------------------------------------------------
# Penalty before training ÷ loss of guessing. TheDeepChecker: gradient of the penalty
# 2 × that of the data; the default L2(0.01) on wide layers lies at 3–5 and trains, so
# below 10 the outcome decides.
PENALTY_TIMES = 3.0
PENALTY_TIMES_ALONE = 10.0
# Half of it does where nine tenths of it went with the weights and nothing was learned.
PENALTY_TIMES_SHRUNK, PENALTY_LEFT = 0.5, 0.1
# A trial without penalties proves something when it is short beside the training.
PENALTY_TRIAL_STEPS = 50

# --- gradient check -----------------------------------------------------------
# Relative error of autodiff beside centred differences in float64. CS231n, Neural
# Networks Part 3, "Gradient checks": above 1e-2 probably wrong, up to 1e-4 usual where
# the loss has kinks, 1e-7 happy. TheDeepChecker: 1e-2, in float32. Kinks are told apart
# before, and healthy models stay below 1e-6: the strict one of the two.
GRADIENT_ERROR = 1e-4

# --- architecture -------------------------------------------------------------------
# Sigmoid layers in a row: each passes on a quarter of the gradient at best (Goodfellow
# et al. 2016, section 6.3.2), three 1/64. Up to four may train with luck, so there the
# outcome decides. Networks for differential equations use eight tanh layers: they are
# reported only when training failed. TheDeepChecker and AutoTrainer see saturation at
# run time only.
SIGMOID_LAYERS = 3
SIGMOID_LAYERS_ALONE = 5
TANH_LAYERS = 6
# A trial at another rate that loses this share of what it began with clears the
# architecture.
TRIAL_CLEARS = 0.5
# Units of a layer that carry a regression on at least this many features.
CAPACITY_UNITS = 2
CAPACITY_FEATURES = 8

# --- settings of layers -------------------------------------------------------------
# Share that dropout takes away. Srivastava et al. 2014, appendix A.4: 0.5 for hidden
# layers, 0.2 for inputs. UMLAUT warns above 0.5, which healthy networks use; 0.8 is
# what the share to keep looks like when it is given in its place.
DROPOUT_RATE = 0.75
DROPOUT_ON_OUTPUTS = 0.05
# Share of the first moving statistics that is still in them at the end of training.
BATCHNORM_KEPT = 0.3
# Keras's momentum is the share that stays (default 0.99): above the first it needs
# thousands of steps, below the second the last batch decides; 0.1 is PyTorch's default,
# where the word means the share that is new.
BATCHNORM_MOMENTUM_HIGH = 0.9995
BATCHNORM_MOMENTUM_LOW = 0.3

# --- settings of the optimizer ------------------------------------------------------
# Steps of Adam have about the length of the rate, so 0.5 throws weights of size 0.1
# away; SGD may need rates far above 1 where the gradient is small. UMLAUT: above 0.01,
# below 1e-7, which many healthy programs use.
RATE_ADAPTIVE = 0.5
RATE_SGD = 20.0
RATE_LOW = 1e-8
# Share of a weight that one step of weight decay takes.
DECAY_STEP = 0.1
# Adam's epsilon: Keras 1e-7. Inception was trained with 0.1 to 1; 1e-16 is below the
# square root of the smallest float32 square (1e-19 / 1e-3).
EPSILON_HIGH = 0.1
EPSILON_LOW = 1e-12
MOMENTUM_HIGH = 0.999
BETA_2_LOW = 0.5
CLIP_LOW = 1e-4
CLIP_CUTS = 30.0
# Keras's default rate of Adadelta and Adagrad is 0.001; their papers use 1.0 and 0.01.
ADADELTA_RATE = 0.05
ADAGRAD_RATE = 0.005

# --- initial weights ----------------------------------------------------------------
# Gain: rms of the weights times the root of their number per output (He et al. 2015:
# √2 in front of ReLU; Glorot: about 1). Pretrained layers reach 2 to 3; deviations of
# 0.25 on 784 to 3136 inputs give 7 to 14.
GAIN_HIGH = 4.0
# Gain as a share of the smaller of Glorot's and LeCun's.
GAIN_LOW = 0.3
# Times the signal grows over the network, and what is left of it. TheDeepChecker tests
# the spread of each layer (F-test), SageMaker the weights; we take the product, since
# one layer far off may be made up for by the next.
SIGNAL_GROWN = 30.0
SIGNAL_GROWN_DEEP = 1e3
SIGNAL_LEFT_NOWHERE = 1e-2
SIGNAL_LEFT = 1e-3
SIGNAL_LEFT_ALONE = 1e-4
SIGNAL_DEEP = 8
# Share of a bounded layer's entries at its flat ends.
SATURATED_AT_START = 0.5
# Gain of a kernel whose weights have one sign: it adds its inputs up.
GAIN_ONE_SIDED = 1.5
# Mean size of a hidden bias; calibrated layers add about 1.
BIAS_HIGH = 5.0

# --- data ---------------------------------------------------------------------
# Pixels divided by 255 twice have a root mean square of about 0.001 and end at 0.004.
# The peers ask for exact ranges; columns of some hundredths are natural and train.
TINY_INPUT_RMS = 0.01
TINY_INPUT_LARGEST = 0.02
# TheDeepChecker reports one constant feature; borders of images and padding of texts
# are constant by nature, so only nearly all of them say something.
CONSTANT_SHARE = 0.9
# A table of few kinds has equal rows by nature; one that is most of them has lost what
# tells the others apart.
SAME_ROWS = 0.5
# Root mean square of regression targets. TheDeepChecker asks for unit scale; targets
# of some tens train well with Adam.
TARGET_RMS = 50.0
# First outputs of a third of that size: the model brings the scale itself.
TARGET_OWN_FACTOR = 3.0
# Share of the variance that simple means explain and the trained model does not.
TARGET_BEHIND = 0.15
# Share of the range of an activation that targets may lie beyond it.
RANGE_SLACK = 0.05
# Share of targets outside their coding or their loss (a few are slips in the data).
BAD_TARGETS = 0.05
# Standard deviations from luck. The best of four simple models stays below 2.5 in 19
# of 20 sets of shuffled labels; digits reach 50, 15 % of flipped labels 10.
SIGNAL_Z = 2.5
SIGNAL_MIN_ROWS = 200
# Rows outside the largest class: with 20 of them simple models find nothing in data
# that a network learns.
SIGNAL_MIN_OUTSIDE = 60
# Validation that lost a tenth of the loss of guessing has seen something.
SIGNAL_KEPT = 0.9
# Rows learned by heart alone: so many, so far, and validation beside the loss of
# guessing. Fewer rows may be too few for a network that reads names.
BY_HEART_MIN_ROWS = 1000
ONLY_BY_HEART_KEPT = 0.7
NO_BETTER_THAN_GUESSING = 0.98
WORSE_THAN_GUESSING = 1.1
# Shares of a class, to be divided by the number of classes. TheDeepChecker: normalised
# perplexity below 0.5, which a healthy 4 % of positives misses.
RARE_SHARE = 0.02
RARE_SHARE_FEW = 0.1
RARE_ROWS = 30
RARE_MAX_CLASSES = 20
# Fewer targets may be the same by chance.
ONE_NUMBER_ROWS = 32
# A class that is named on fewer than a quarter of its own rows after training, where
# nearly all rows of the largest are right, on ten rows or more.
NEGLECTED_RECALL = 0.25
NEGLECTED_OTHERS = 0.9
NEGLECTED_ROWS = 10

# --- order and parts of the rows ------------------------------------------------
# Changes of class from row to row, beside random order: sorted rows have about 0.
SORTED_CHANGES = 0.2
SORTED_MIN_ROWS = 20
# Half the changes of random order: a part of such rows does not stand for the whole.
UNMIXED_CHANGES = 0.5
# Total variation between the classes of tail and rest; 0.4 is far from any random cut
# and from slow drift.
TAIL_DISTANCE = 0.4
# Share of validation rows whose class training lacks.
UNSEEN_SHARE = 0.05
# Classes a batch, in the mean.
ONE_CLASS_BATCH = 1.2
# Share of validation rows that are training rows, above what twins make likely.
# Share of training rows with a twin above which no set of wide rows is by nature.
OVERLAP_COPIES = 0.9
OVERLAP_SHARE = 0.05
OVERLAP_ERROR = 0.5
OVERLAP_MIN_ROWS = 10
# Root mean squares of 0–255 and 0–1 are 255 times apart; drift stays below 3.
SHIFT_RMS_FACTOR = 20.0
SHIFT_COLUMNS = 0.5
# Kolmogorov–Smirnov distance between row-wise figures of images, and how far the
# medians must lie apart: mild noise moves every image a little.
SHIFT_DISTANCE = 0.65
SHIFT_EFFECT = 0.5
# Noise of 0.15 on drawings in 0…1 makes them 3 times as rough, and is fair.
SHIFT_ROUGHNESS = 5.0
# A model that lost half of the loss of guessing on validation knows its task.
SHIFT_KEPT = 0.5

# --- batches ------------------------------------------------------------------
BATCH_SMALL = 2
BATCH_LARGE = 128
BATCH_FEW_STEPS = 30
# Rise of the loss between two late epochs, as a share of the loss of guessing.
BATCH_RISE = 0.1

# Float16 rounds a half; one value for all rows has other causes.
HALF_ROUNDING, HALF_VARIES = 1e-3, 0.05
# Share of the loss of guessing that a short trial without augmentation keeps at most.
AUGMENTED_KEPT = 0.67
# Share of the first weights in the average that `fit` leaves: most of it.
EMA_SHARE = 0.5
# Rows and weight of a rare class beside the commonest: far from 1, for other purposes.
RARER, WEIGHED_LESS = 0.25, 0.5
