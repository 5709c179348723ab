# The verbs of the project. Each sets up its own .venv from plain python3 (3.11 or newer) and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Where `make demo` puts its results, and how many processes run the tests.
OUT ?= demo
JOBS ?= 2
# The tested torch is the lower end of its range in pyproject.toml. It is installed first and by exact version, so that pip
# takes a CPU build when its configuration offers one, rather than a newer CUDA build of several gigabytes.
TORCH = $(shell sed -n 's/.*"torch>=\([0-9.]*\),.*/torch==\1/p' pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help install demo test check fix docs bench

help:  ## list the verbs
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile

install: $(STAMP)  ## make .venv and install radlet with its development tools

# Runs again only when pyproject.toml changes; the stamp is written last, so that a broken installation is repaired.
# pip would write bytecode on one core; compileall does it on all of them, and the first command need not. It fails on
# the files that packages carry for other versions of Python, which nothing here imports.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "radlet needs Python 3.11: make PYTHON=...")'
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@echo "Installing radlet into $(VENV): one or two minutes, once."
	@$(BIN)/pip install -qq --no-compile "$(TORCH)"
	@$(BIN)/pip install -qq --no-compile --editable ".[dev]"
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
	@touch $@

demo: $(STAMP)  ## make, judge and show a small model on synthetic studies
	$(BIN)/radlet demo --out $(OUT)

# One thread a worker, or the workers fight for the cores. Long files come first, so that the workers end together, and a
# file stays on one worker, so that what it builds for its tests is built once.
test: export OMP_NUM_THREADS = 1
test: $(STAMP)  ## run every test
	$(BIN)/pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder \
	  $(wildcard tests/e2e tests/integration tests/golden tests/contract tests/unit)

check: $(STAMP)  ## lint, types, import contracts, generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/reference.py --check

fix: $(STAMP)  ## format, and repair what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)  ## write the reference pages from the code
	$(BIN)/python tools/reference.py

# LLAMA_BENCH names llama.cpp's own llama-bench, if there is one to hold the engine against. The demo is what plans are held
# against. Other benchmarks in bench/ take data or models of one's own: see their first lines.
bench: $(STAMP)  ## measure training, drafting and plans on this machine; write docs/performance.md
	@mkdir -p bench/results
	@test -d $(OUT)/runs || $(BIN)/radlet demo --out $(OUT)
	$(BIN)/python bench/training.py --json bench/results/training.json --svg docs/images/training_loss.svg
	$(BIN)/python bench/loss_memory.py --json bench/results/loss_memory.json
	$(BIN)/python bench/inference.py $(if $(LLAMA_BENCH),--llama-bench $(LLAMA_BENCH)) --json bench/results/inference.json
	$(BIN)/python bench/plan.py $(OUT) --json bench/results/plan.json
	$(BIN)/python tools/performance.py
