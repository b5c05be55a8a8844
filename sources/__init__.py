"""Readers of event logs and item catalogues, and the counting of triples (design §3.1, §3.2). DuckDB does every scan."""
