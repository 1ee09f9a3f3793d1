"""A file per noun: what the server answers, over the library."""
