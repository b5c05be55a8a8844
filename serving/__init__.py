"""HTTP look-ups (docs/serving.md): from a user's last items to the next novel interests. Needs neither torch nor Temporal."""
