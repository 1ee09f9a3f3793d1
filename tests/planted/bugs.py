"""All planted bugs: mistakes that one line of ours could hold, and which check must find each."""

from tests.planted.bug import Bug
from tests.planted.in_content import NATIVE, SERVER, TREE
from tests.planted.in_copies import BACKUPS, COLLECTING, VERIFYING
from tests.planted.in_storage import COMMIT, NAMES, RECOVERY

BUGS: tuple[Bug, ...] = (
    *COMMIT,
    *RECOVERY,
    *NAMES,
    *COLLECTING,
    *VERIFYING,
    *BACKUPS,
    *TREE,
    *SERVER,
    *NATIVE,
)
