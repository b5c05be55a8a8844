"""The low level of the hierarchy: from a user's items to the next ones within an interest. NumPy only, so that serving can."""
