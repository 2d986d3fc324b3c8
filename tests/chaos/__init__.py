"""Faults injected for real, at random moments; see `make chaos`."""
