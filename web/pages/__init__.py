"""The pages, one module per noun: what is read, and which template shows it."""
