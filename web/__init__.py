"""The page for the people who decide: what waits, the evidence, what would change, and the verdict (docs/web.md).

Beside `commands`, on top of `operations`. Pages are made on the server, and work without a script.
"""
