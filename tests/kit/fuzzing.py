"""The fuzz targets in Python, which are programs, as modules."""

import importlib.util
import sys
from types import ModuleType

from tests.kit.child import REPOSITORY


def load_targets(name: str) -> ModuleType:
    """`fuzz/python/NAME.py`."""
    path = REPOSITORY / "fuzz" / "python" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"fuzz_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
