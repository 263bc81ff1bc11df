"""Memory that was freed, given back to the system where the C library can be told to.

glibc keeps what threads free, in pieces that blocks of other sizes do not fit into: a long sound's
pictures, all of them freed, made a command grow by half a gigabyte an hour (docs/LOG.md).
"""

import ctypes
import sys


def give_back() -> bool:
    """Return freed memory to the system; False where nobody can."""
    if sys.platform != "linux":
        return False
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; others have none
    return trim is not None and bool(trim(0))
