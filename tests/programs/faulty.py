"""Programs with a fault, of kinds that people ask about on forums."""

from faulty_custom import CUSTOM
from faulty_images import IMAGES
from faulty_inside import INSIDE
from faulty_layers import LAYERS
from faulty_sequences import SEQUENCES
from faulty_tables import TABLES
from faulty_toys import TOYS

FAULTY = [*TABLES, *TOYS, *IMAGES, *LAYERS, *SEQUENCES, *CUSTOM, *INSIDE]
