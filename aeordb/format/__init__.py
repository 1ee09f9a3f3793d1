"""The file format as pure functions: bytes to values and back. FORMAT.md is the rule."""
