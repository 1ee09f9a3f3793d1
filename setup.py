"""The compiled part of the build; everything else about the package is in pyproject.toml."""

from setuptools import setup

setup(
    cffi_modules=["native/build.py:ffibuilder"],
    # One wheel serves CPython 3.11 and later: cffi keeps to the stable ABI.
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
