"""The heavy machines (torch, transformers, peft). Entered only as child processes: `python -m engines.<name> JOB.json`."""
