"""Power cuts, failed syncs and full disks: what they leave opens, and holds what was committed."""
