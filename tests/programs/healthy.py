"""Programs that are all right: a report must be silent about every one of them."""

from faulty_inside import SOUND
from healthy_columns import COLUMNS
from healthy_custom import CUSTOM
from healthy_fits import FITS
from healthy_images import IMAGES
from healthy_optimizers import OPTIMIZERS
from healthy_sequences import SEQUENCES
from healthy_tables import TABLES

HEALTHY = [*TABLES, *COLUMNS, *IMAGES, *SEQUENCES, *CUSTOM, *OPTIMIZERS, *FITS, *SOUND]
