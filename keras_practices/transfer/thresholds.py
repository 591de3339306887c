"""The numbers a plan is decided by, each with its source."""

# Rows a class below which data is little. Kornblith, Shlens and Le, "Do Better ImageNet
# Models Transfer Better?" (2019), arXiv:1805.08974: with 47 to 800 rows in all, a
# logistic regression on frozen features does as well as fine-tuning or better; with
# the 1,000 in all of VTAB (Zhai et al., arXiv:1910.04867) fine-tuning wins. In
# benchmarks/transfer_quadrants.py to train everything costs accuracy with 8 rows a
# class and none with 80. Where in between is our choice.
FEW_ROWS = 50
# As many as ImageNet has a class: last features that fit need no others beside them.
MANY_ROWS = 1000
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
