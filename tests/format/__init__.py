"""Tests of the codecs, module by module, and of FORMAT.md against the code."""
