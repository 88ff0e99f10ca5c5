"""``python -m smsc_filter`` is ``smsc-filter``."""

import sys

from smsc_filter.cli import main

sys.exit(main())
