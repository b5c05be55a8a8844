"""Keeps LLM-powered recommenders in step with their users. The folders of the repository are its rooms (docs/adr/0017)."""
