"""Threads for work that the C helper does without the GIL: started, stopped, errors carried."""
