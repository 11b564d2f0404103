# One way to run each thing, for people and for CI. Needs Python 3.11 or 3.12, make and a C compiler.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV ?= .venv
PYTHON ?= $(or $(shell command -v python3.11),$(shell command -v python3.12),python3)
RUN = $(VENV)/bin/python
PIP = $(RUN) -m pip install --quiet --disable-pip-version-check
LOCKED = $(PIP) --no-deps --no-build-isolation
TORCH := $(shell grep '^torch==' requirements/cpu.txt)
TORCH_INDEX := https://download.pytorch.org/whl/cpu
# A command that ends with one clear line where the interpreter is not one that ReaLM runs on.
CHECK_PYTHON = $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12) and \
    "ReaLM needs Python 3.11 or 3.12, this is %d.%d: give one, make setup PYTHON=..." % sys.version_info[:2])'

.PHONY: help setup setup-gpu quickstart test test-long check bench bench-rules study study-small clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(VENV)/.setup-done ## make .venv with the pinned CPU stack and ReaLM, editable

# Two stamps: the packages are installed again only when a lock changes, ReaLM when its metadata does.
$(VENV)/.packages-done: requirements/build.txt requirements/cpu.txt requirements/dev.txt
	@$(CHECK_PYTHON)
	@echo "setup 1/4: $(VENV), with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@$(LOCKED) -r requirements/build.txt
	@echo "setup 2/4: $(TORCH), from where pip is set up to look, else from the PyTorch CPU index"
	@$(LOCKED) $(TORCH) || $(LOCKED) --extra-index-url $(TORCH_INDEX) $(TORCH)
	@echo "setup 3/4: the locked packages (the longest part, some minutes)"
	@$(LOCKED) -r requirements/cpu.txt -r requirements/dev.txt
	@touch $@

$(VENV)/.setup-done: $(VENV)/.packages-done pyproject.toml packaging/vllm_alias/pyproject.toml \
    $(wildcard eval_tasks/tasks/*.yaml)
	@echo "setup 4/4: ReaLM and the vllm alias"
	@$(LOCKED) ./packaging/vllm_alias --editable .
	@$(VENV)/bin/realm link-tasks
	@touch $@

# An environment of its own: the CUDA and the CPU stack pin different builds of the same packages.
setup-gpu: VENV = .venv-gpu
setup-gpu: ## make .venv-gpu for CUDA GPUs, through verl's own vllm extra
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[gpu,distill]'

quickstart: setup ## data, SFT, RL, evaluation and report on a CPU
	$(VENV)/bin/realm quickstart

check: setup ## lint, format and types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

test: check ## check, then every test, the real stack last
	OMP_NUM_THREADS=1 $(RUN) -m pytest -m "not e2e" --numprocesses 2 --dist loadfile --no-loadscope-reorder
	$(RUN) -m pytest -m "e2e and not long"

test-long: setup ## end-to-end tests of many minutes each
	$(RUN) -m pytest -m long

bench: setup ## the benchmarks, each printing ratios of one run
	for benchmark in benchmarks/bench_*.py; do $(RUN) "$$benchmark"; done

bench-rules: setup ## rules distilled against plain answers: 6 trainings from runs/quickstart/base
	$(RUN) benchmarks/rules.py

study: setup ## the study, where it stopped: one committed row an arm and seed (hours)
	$(RUN) -m benchmarks.study.run
	$(RUN) -m benchmarks.study.report --write

study-small: setup ## two arms of the study, one seed, from nothing (under 40 minutes)
	$(RUN) -m benchmarks.study.run --small

clean: ## remove the environments, caches and builds; runs and outputs stay
	rm -rf $(VENV) .venv-gpu dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
