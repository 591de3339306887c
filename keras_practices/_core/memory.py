"""Gives memory that is not used back to the system."""

import contextlib
import ctypes


def give_back():
    """Returns to the system what the C library keeps of memory that was freed.

    A compiler frees most of what it has used, but glibc keeps it, hundreds of
    megabytes after some networks. Elsewhere this does nothing.
    """
    # No such function, or (Windows) no such way to ask for it.
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
