"""`python -m core`: every step without a browser, for cron and CI."""

import sys

from core.commands import main

sys.exit(main(sys.argv[1:]))
