"""Which form of the cuts runs: samples of each kind, or with `AEORDB_CRASH=full` all of them."""

import os

FULL = os.environ.get("AEORDB_CRASH") == "full"
