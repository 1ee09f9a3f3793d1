# The compiled module: `native/*.h` is its manual, the wrappers beside this file its callers.
from typing import Any

import _cffi_backend

ffi: _cffi_backend.FFI

class _Lib:
    def __getattr__(self, name: str) -> Any: ...

lib: _Lib
