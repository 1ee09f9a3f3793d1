"""Other Python processes that use the same aeordb as this one: installed, or this checkout."""

import os
from pathlib import Path

import aeordb

REPOSITORY = Path(__file__).resolve().parents[2]
PATHS = (Path(aeordb.__file__).parents[1], REPOSITORY)

# The library first: the checkout has the same package, perhaps without its compiled helper. And not
# the working folder, which may be the checkout.
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(str(path) for path in dict.fromkeys(PATHS)),
    "PYTHONSAFEPATH": "1",
}
