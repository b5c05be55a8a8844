"""Measurements against what people would use instead: `python -m bench [name …]`, or one as `python -m bench.<name>`."""
