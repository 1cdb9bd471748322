"""`python -m core`, as installed `courtside`: every step without a browser, for cron and CI."""

import sys

from core.runtime.commands import main


def run() -> int:
    """Run the command, and return the exit code."""
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(run())
