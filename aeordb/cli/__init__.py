"""The command line: a thin shell over the library, one command per file."""
