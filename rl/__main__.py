"""`python -m rl` is `assay`."""

import sys

from rl.cli import main

sys.exit(main())
