"""Paths, file contents, directories, and how two trees differ: all over storage's entries."""
