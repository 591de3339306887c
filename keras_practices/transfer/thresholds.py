"""The numbers a plan is decided by, each with its source."""

# Rows a class. Kornblith, Shlens and Le, "Do Better ImageNet Models Transfer Better?"
# (2019), arXiv:1805.08974: with 47 to 800 rows in all, a logistic regression on frozen
# features does as well as fine-tuning or better. A class at this number is our reading.
FEW_ROWS = 20
# As many as ImageNet has a class, and as the VTAB benchmark has in all (Zhai et al.,
# arXiv:1910.04867), where fine-tuning wins over linear evaluation.
MANY_ROWS = 1000
# In between it is measured. An error that falls slower than one over the root of the
# rows (twice the rows save less than 1 - 1 / √2) is mostly that of the features, and
# more is to be had by changing them.
USED_UP = 0.29
# Errors below which their number says nothing of a slope: its own standard error is a
# third of ten.
FEW_ERRORS = 10
# Share of the advantage of pretrained features that must be left at the deepest place.
# Yosinski et al., "How transferable are features in deep neural networks?" (2014): it
# falls with depth as tasks differ. Half is our choice.
SIMILAR = 0.5
# Standard errors of a difference, row by row.
CLEAR_ERRORS = 2.0

# Howard and Ruder, arXiv:1801.06146: each layer group learns at 1/2.6 of the next.
DECAY = 1 / 2.6
# CS231n, "Transfer Learning": "smaller learning rate for ConvNet weights that are being
# fine-tuned", a tenth is usual.
BASE_RATE = 0.1
# Where the features fit less they have further to go.
DIFFERENT_BASE_RATE = 0.3

HEAD_EPOCHS = 20
TUNE_EPOCHS = 20
