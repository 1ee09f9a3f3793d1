"""Versions of the tree and their names: HEAD, snapshots, forks; and the system folders."""
