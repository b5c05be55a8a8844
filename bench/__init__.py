"""Measurements. Run one with `python -m bench.<name>`."""
