"""`python -m aeordb.cli` is `aeordb`."""

import sys

from aeordb.cli.main import main

sys.exit(main())
