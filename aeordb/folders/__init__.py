"""Folders and files on disk, put into the tree and gotten out of it."""

from aeordb.folders.get import get_tree
from aeordb.folders.put import put_tree
from aeordb.folders.report import GetReport, PutReport, Skipped
from aeordb.folders.single import get_file, put_file, write_to

__all__ = [
    "GetReport",
    "PutReport",
    "Skipped",
    "get_file",
    "get_tree",
    "put_file",
    "put_tree",
    "write_to",
]
