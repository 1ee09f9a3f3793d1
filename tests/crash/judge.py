"""The judge of images, with a second opinion: the independent reader and its rules."""

from collections.abc import Sequence
from pathlib import Path

from aeordb.maintenance.findings import PATH_KEY
from aeordb.testing import judge
from aeordb.testing.judge import model_of, no_scan, rows_of, state_of
from aeordb.testing.replay import Image
from aeordb.testing.scenario import Recording, Rows, State
from tests.crash import count
from tests.kit.oracle import Oracle
from tests.kit.rules import check_file

__all__ = ["Judge", "model_of", "no_scan", "rows_of", "state_of"]


class Judge(judge.Judge):
    """Looks at images of one recording, and lets the independent reader look too.

    Args:
        folder, recording, early: as for the judge in `aeordb.testing`.
        theirs: the trace began with a file of AeorDB's.
        known: no finding of these counts (what AeorDB left in the file).
        oracle_every: every how manieth image the independent reader reads too.
    """

    def __init__(
        self,
        folder: Path,
        recording: Recording,
        *,
        theirs: bool = False,
        known: frozenset[str] = frozenset(),
        oracle_every: int = 1,
        early: Sequence[State] = (),
    ) -> None:
        super().__init__(
            folder,
            recording,
            early=early,
            may_scan=self._is_theirs,
            look=self._second_look,
            rules=self.findings,
            known_kinds={PATH_KEY} if known else (),
        )
        self.theirs = theirs
        self.known = known
        self._oracle_every = oracle_every

    def check(self, image: Image, *, write: bool = True, verify: bool = False) -> State:
        count.note(image)
        return super().check(image, write=write, verify=verify)

    def findings(self, path: Path) -> list[str]:
        """What the rules say of a closed file."""
        return sorted(set(check_file(path, ours=True, taken_over=self.theirs)) - self.known)

    def _is_theirs(self, content: bytes) -> bool:
        ours = Oracle(content).slot.ours is not None
        assert ours or self.theirs, "no marker of ours"
        return not ours

    def _second_look(self, content: bytes, rows: Rows) -> None:
        if len(self.seen) % self._oracle_every == 0:
            other = tuple(tuple(row) for row in Oracle(content).tree(folders=True, hidden=True))
            assert rows == other, "the independent reader finds another tree"
