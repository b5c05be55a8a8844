"""Postgres: the schema and one module of queries per noun; the only place that knows SQL (design §5).

Functions take a `sqlalchemy.Connection`; the caller owns the transaction. Everything has a version and nothing is updated
in place, except a channel's pointer.
"""
