"""`python -m aeordb` is the command line."""

import sys

from aeordb.cli.main import main

sys.exit(main())
