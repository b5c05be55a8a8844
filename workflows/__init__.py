"""What happens, and in which order. No I/O, no clock, no numpy: replayed by Temporal, so deterministic."""

from temporalio import workflow

# One copy of the dataclasses on both sides of the sandbox: a step's argument is the step's own class.
with workflow.unsafe.imports_passed_through():
    from driftline import contracts

    if workflow.unsafe.in_sandbox():  # where a module that is found later is another copy
        for module in contracts.MODULES:
            __import__(f"{contracts.__name__}.{module}")
