"""Exports and patches: made, checked, applied."""
