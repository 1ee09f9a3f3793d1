"""Keeping a database small and honest: verify, repair, gc, compact (engine.md section 10)."""
