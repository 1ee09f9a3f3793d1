"""Folders on disk, put into the tree and gotten out of it."""

from aeordb.folders.get import get_tree
from aeordb.folders.put import put_tree
from aeordb.folders.report import GetReport, PutReport, Skipped

__all__ = ["GetReport", "PutReport", "Skipped", "get_tree", "put_tree"]
