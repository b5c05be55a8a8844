"""What the operating system gives, alike in every room. The standard library and structlog alone.

Files that are whole or not there, processes that end with their parent, a log of JSON lines.
"""
