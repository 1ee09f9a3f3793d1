"""What the tests share: an independent reader of the format, the rules of a file, data makers."""
