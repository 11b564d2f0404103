# One way to run each thing, for people and for CI. Needs Python 3.11 or 3.12, make and a C compiler.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The GPU stack has an environment of its own, since the CUDA and the CPU stack pin different builds of the same
# packages; VENV=... on the command line names either.
GPU_VENV := $(or $(VENV),.venv-gpu)
VENV ?= .venv
PYTHON ?= $(or $(shell command -v python3.11),$(shell command -v python3.12),python3)
RUN = $(VENV)/bin/python
PIP = $(RUN) -m pip install --quiet --disable-pip-version-check
LOCKED = $(PIP) --no-deps --no-build-isolation
TORCH := $(shell grep '^torch==' requirements/cpu.txt)
FLASH := $(shell sed -n 's/^flash = \["\(.*\)"\]$$/\1/p' pyproject.toml)
# The last wheel of which flash-attn's setup.py can be sure.
WHEEL := 0.45.1
TORCH_INDEX := https://download.pytorch.org/whl/cpu
# A command that ends with one clear line where the interpreter is not one that ReaLM runs on.
CHECK_PYTHON = $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12) and \
    "ReaLM needs Python 3.11 or 3.12, this is %d.%d: give one, make setup PYTHON=..." % sys.version_info[:2])'

.PHONY: help setup setup-gpu setup-gpu-flash quickstart test test-long check bench bench-rules study study-small clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 17

setup: $(VENV)/.setup-done ## make .venv with the pinned CPU stack and ReaLM, editable

# Two stamps: the packages are installed again only when a lock changes, ReaLM when its metadata does.
$(VENV)/.packages-done: requirements/build.txt requirements/cpu.txt requirements/dev.txt
	@$(CHECK_PYTHON)
	@rm -f $@ $(VENV)/.setup-done
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

setup-gpu setup-gpu-flash: RUN = $(GPU_VENV)/bin/python
setup-gpu: $(GPU_VENV)/.setup-gpu-done ## make .venv-gpu with the pinned stack for CUDA GPUs and ReaLM, editable

# ReaLM comes last, and the stamp after a check of the whole: an environment that was cut short has no `realm` in it.
$(GPU_VENV)/.setup-gpu-done: requirements/build.txt requirements/gpu.txt pyproject.toml
	@$(CHECK_PYTHON)
	@rm -f $@
	@echo "setup-gpu 1/3: $(GPU_VENV), with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(GPU_VENV)
	@$(LOCKED) -r requirements/build.txt
	@echo "setup-gpu 2/3: the locked packages (11 GB, many minutes)"
	@$(LOCKED) -r requirements/gpu.txt
	@echo "setup-gpu 3/3: ReaLM"
	@$(LOCKED) --editable .
	@$(RUN) -m pip check --disable-pip-version-check
	@touch $@
	@echo "For speed on a machine with a GPU and nvcc: make setup-gpu-flash"

# A step of its own, since it is compiled against the installed torch. One that does not import is taken off again.
setup-gpu-flash: setup-gpu ## add flash-attn to .venv-gpu (a GPU and nvcc needed; up to an hour)
	@$(RUN) -c 'import sys, torch; sys.exit(None if torch.cuda.is_available() else \
	    "flash-attn not installed: torch sees no GPU here. ReaLM uses sdpa without it.")'
	@nvcc --version > /dev/null 2>&1 || { echo "flash-attn not installed: it is compiled with nvcc (CUDA 13), which" \
	    "is not on the PATH. ReaLM uses sdpa without it."; exit 1; }
	$(LOCKED) wheel==$(WHEEL) '$(FLASH)'
	@$(RUN) -c 'import flash_attn' || { $(RUN) -m pip uninstall --quiet --yes flash-attn; \
	    echo "flash-attn was built but does not import (above), so it was removed. ReaLM uses sdpa without it."; exit 1; }

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
	rm -rf $(VENV) $(GPU_VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
