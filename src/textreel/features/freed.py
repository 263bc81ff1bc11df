"""Memory that was freed, given back to the system where the C library can be told to.

glibc keeps what threads free, in pieces that blocks of other sizes do not fit into: a long sound's
pictures, all of them freed, made a command grow by half a gigabyte an hour (docs/LOG.md).
"""

import ctypes
import sys


def give_back() -> None:
    """Return freed memory to the system, where the C library is one that can be told to."""
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; others have none
    if trim is not None:
        trim(0)
