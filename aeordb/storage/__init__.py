"""One database file on disk: locks, map, log, index, commit, growth and recovery."""
