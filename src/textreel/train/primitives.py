"""How many prepared operations oneDNN keeps in memory.

torch computes bfloat16 products on CPUs with oneDNN, which prepares an operation for every shape it
meets and keeps the last 1,024. Rows of many lengths make many shapes: hundreds of megabytes and
more, and no time saved (docs/LOG.md).
"""

import os

VARIABLE = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
KEPT = "64"


def keep_few_primitives() -> None:
    """Let oneDNN keep `KEPT` operations, unless the environment says otherwise.

    Takes effect only before the first operation of the process; changes no number.
    """
    os.environ.setdefault(VARIABLE, KEPT)
