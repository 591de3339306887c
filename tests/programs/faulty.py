"""Programs with a fault, of kinds that people ask about on forums."""

from faulty_tables import TABLES

FAULTY = [*TABLES]
