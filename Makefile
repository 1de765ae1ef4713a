# Two commands for a fresh machine: `make demo` and `make test`. Each sets up what it needs, once.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint setup browser clean

demo: setup
	$(BIN)/pixeltally demo

test: setup browser lint
	$(BIN)/pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: .venv/ready

.venv/ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name it with make PYTHON=…")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv data
