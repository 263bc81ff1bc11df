# Two commands set up a fresh machine that has Python 3.11+, pip and make: `make demo`, `make test`.
#
#   make install                 .venv with textreel; torch for CPUs
#   make install TORCH_INDEX=    the same with PyPI's torch (CUDA on Linux)
#   make demo                    install, then `textreel demo` (ARGS="--seed 3" passes options)
#   make test                    the default tests; make slow, make lint, make types: the rest
#   make hooks                   run lint and types before every commit

PYTHON ?= python3
VENV ?= .venv

# The index that torch comes from, beside PyPI: the one asked for, else the one it came from last
# time (a stamp remembers it), else PyTorch's own for CPUs.
THERE := $(firstword $(wildcard $(VENV)/.torch-*))
ifeq ($(origin TORCH_INDEX),undefined)
TORCH_INDEX := $(if $(THERE),$(shell cat $(THERE)),https://download.pytorch.org/whl/cpu)
endif
TORCH_STAMP := $(VENV)/.torch-$(or $(notdir $(patsubst %/,%,$(TORCH_INDEX))),pypi)

BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PIP := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt

# torch comes first and alone (--no-deps), so that nothing else is looked up in its index: one that
# cannot be reached then costs seconds, and PyPI serves instead.
TORCH := $(PIP) torch --no-deps $(if $(filter-out $(TORCH_STAMP),$(THERE)),--force-reinstall)
FROM_INDEX := --extra-index-url $(TORCH_INDEX)

.PHONY: install dev demo test slow lint format types hooks clean

install: $(VENV)/.installed

demo: install
	$(BIN)/textreel demo $(ARGS)

dev: $(VENV)/.installed-dev

test: dev
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

slow: dev
	$(BIN)/python -m pytest -m "slow and not gpu and not ray and not browser" $(ARGS)

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: dev
	$(BIN)/mypy

hooks: dev
	$(PIP) pre-commit
	$(BIN)/pre-commit install

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache

$(BIN)/python:
	$(PYTHON) -c "import sys; v = sys.version_info; sys.exit(v < (3, 11) and f'textreel needs Python 3.11 or later, this is {v.major}.{v.minor}: make PYTHON=python3.12')"
	test -e $(VENV) || rm -f $(VENV)
	$(PYTHON) -m venv $(VENV)

$(TORCH_STAMP): constraints.txt | $(BIN)/python
ifeq ($(TORCH_INDEX),)
	$(TORCH)
else
	$(TORCH) $(FROM_INDEX) --retries 0 --timeout 10 || $(TORCH) $(FROM_INDEX)
endif
	rm -f $(VENV)/.torch-*
	echo $(TORCH_INDEX) > $@

$(VENV)/.installed: pyproject.toml constraints.txt $(TORCH_STAMP)
	$(PIP) -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt $(TORCH_STAMP)
	$(PIP) -e ".[dev]"
	touch $(VENV)/.installed $@
