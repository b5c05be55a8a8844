"""The `driftline` command, one module per noun."""
