"""The side effects of one step each: thin, idempotent; heavy work is supervised in a child process."""
