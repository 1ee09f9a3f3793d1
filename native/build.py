"""Builds ``aeordb.native._native``, the compiled helper, with cffi in API mode.

Every ``native/*.c`` is compiled into the one module.  Every ``native/*.h`` is the manual of a
part; what Python may call stands in it between ``/* cdef */`` and ``/* end cdef */``.
No flag here may tie the binary to the build machine: SIMD is chosen at run time.
"""

import re
from pathlib import Path

from cffi import FFI

NATIVE = Path("native")  # setuptools wants relative paths, and runs in the project's root
CDEF = re.compile(r"/\* cdef \*/(.*?)/\* end cdef \*/", re.DOTALL)


def headers() -> list[Path]:
    """The public headers, the common one first because the others use its types."""
    common = NATIVE / "aeor.h"
    return [common, *sorted(set(NATIVE.glob("*.h")) - {common})]


def ffibuilder() -> FFI:
    """The builder that ``setup.py`` names in ``cffi_modules``."""
    ffi = FFI()
    ffi.cdef("\n".join(part for path in headers() for part in CDEF.findall(path.read_text())))
    ffi.set_source(
        "aeordb.native._native",
        "\n".join(f'#include "{path.name}"' for path in headers()),
        sources=[str(path) for path in sorted(NATIVE.glob("*.c"))],
        depends=[
            str(path) for pattern in ("*.h", "*.inc") for path in sorted(NATIVE.glob(pattern))
        ],
        include_dirs=[str(NATIVE)],
        extra_compile_args=["-O3", "-std=gnu11", "-fvisibility=hidden", "-Wall", "-Wextra"],
    )
    return ffi
