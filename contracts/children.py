"""What a child process and its supervisor agree on, beside the job's file and the lines of progress on stdout."""

BAD_INPUT = 2
"""Exit code: the input is wrong, and a line on stderr says so."""
STOPPED = 75  # EX_TEMPFAIL
"""Exit code: asked to stop, it saved what it had. Run again, the same job goes on from there."""
REFUSAL = "driftline refuses its input: "
"""How the line on stderr begins that says what is wrong. Libraries, and other processes of the job, write there as well."""
CHECK_MEMORY = "DRIFTLINE_CHILDREN__CHECK_MEMORY"
"""Variable of the child's environment, named like the setting: `false` where it does not ask whether its job fits into memory."""
