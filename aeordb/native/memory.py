"""Memory for what the helper fills."""

from typing import Any

from ._native import ffi

new_unset: Any = ffi.new_allocator(should_clear_after_alloc=False)
"""As `ffi.new`, but not cleared: for what is written before anybody reads it."""
