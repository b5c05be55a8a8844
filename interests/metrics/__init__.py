"""How good a mapping is and whether keeping it fresh pays: pure functions, NumPy or Arrow in, small dataclasses out.

Shares are in [0, 1]; what cannot be measured is None beside its n, never NaN.
"""
