"""The kit for others, tried on databases that are wrong on purpose."""
