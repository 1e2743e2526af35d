# Two commands: `make report` and `make test`. Both set up a virtual environment first, unless that is done.
#
#   PYTHON=python3.12    the interpreter to build the environment with (3.11 or later)
#   VENV=.venv           where the environment lies
#   CPU_INDEX=1          torch's CPU build (0.2 GB) instead of the CUDA one (3 GB); or the address of another index
#   EXTRAS=dev,gpu       the optional dependency groups to install
#   BOOKS=quickstart     the notebooks of `make report`, by name; BOOKS=all for all of them
#   ARGS=...             more arguments for `ptofa report` or pytest
#   WORKERS=2            pytest processes; 0 runs in one

PYTHON    ?= python3
VENV      ?= .venv
EXTRAS    ?= dev
CPU_INDEX ?=
BOOKS     ?= quickstart
ARGS      ?=
WORKERS   ?= 2

BIN   := $(VENV)/bin
comma := ,
STAMP := $(VENV)/.ptofa-$(subst $(comma),-,$(EXTRAS))
SOURCES := $(wildcard kernels/*/* tests/engine/*.cpp)
FILES := $(wildcard notebooks/*.ipynb)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup engine report gallery test lint types unit fix clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16
	@sed -n '/^#   [A-Z]/s/^# / /p' $(MAKEFILE_LIST)

setup: $(STAMP) engine  ## build the environment, or bring it in step with pyproject.toml and constraints.txt

$(STAMP): pyproject.toml constraints.txt scripts/setup scripts/hatch_build.py
	@PYTHON='$(PYTHON)' VENV='$(VENV)' EXTRAS='$(EXTRAS)' CPU_INDEX='$(CPU_INDEX)' bash scripts/setup
	@touch '$@'

engine: $(STAMP)  ## compile kernels/cpu, unless its libraries are up to date
	@$(BIN)/python scripts/build_engine.py

report: engine  ## run the main job on the embedded world and print the path of the report
	@echo "== report: train, allocate, draw"
	@$(BIN)/ptofa report $(if $(filter all,$(BOOKS)),,$(addprefix --only ,$(BOOKS))) $(ARGS)

gallery: engine  ## make the pictures of the README again
	@$(BIN)/python scripts/gallery.py

test: lint types unit  ## lint, types and tests

lint: $(STAMP)  ## style of Python, notebooks and kernels
	@echo "== ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo "== clang-format"
	@$(if $(SOURCES),$(BIN)/clang-format --dry-run -Werror $(SOURCES),echo "no kernels")
	@echo "== notebooks hold no outputs"
	@$(if $(FILES),$(BIN)/nbstripout --verify $(FILES),echo "no notebooks")

types: $(STAMP)  ## mypy
	@echo "== mypy"
	@$(BIN)/mypy

unit: engine  ## the tests
	@command -v g++ >/dev/null || echo "!! no g++: the tests in tests/cuda_on_cpu are skipped (apt install g++)"
	@command -v objdump >/dev/null || echo "!! no objdump: the engine's machine code is not looked at (apt install binutils)"
	@command -v chromium >/dev/null || echo "!! no chromium: screenshots of reports are skipped (apt install chromium)"
	@echo "== pytest"
	@$(BIN)/python -m pytest -q -n $(WORKERS) $(ARGS)

fix: $(STAMP)  ## mend what can be mended by machine
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(if $(SOURCES),$(BIN)/clang-format -i $(SOURCES))
	@$(if $(FILES),$(BIN)/nbstripout $(FILES))

clean:  ## remove caches; the environment and the reports stay
	@find . -name __pycache__ -not -path './.venv/*' -not -path './$(VENV)/*' -prune -exec rm -rf {} +
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
