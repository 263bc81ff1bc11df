"""`python -m textreel` and the `textreel` command."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    from textreel.cli.app import run
    from textreel.cli.errors import install_last_nets
    from textreel.cli.output import keep_stderr_plain

    install_last_nets()
    keep_stderr_plain()
    return run(sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
