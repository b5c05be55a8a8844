"""The heavy machines (torch, transformers, peft), entered as child processes: `python -m driftline.engines.NAME JOB.json`."""
