# `make run` and `make test` need Python 3.11 or newer and nothing else; they set up .venv on first use.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test lint clean

run: .venv/installed
	$(BIN)/python -m pipeline run --until export

test: .venv/installed
	$(BIN)/python -m pytest -m "not slow"

lint: .venv/installed
	$(BIN)/pip install -q ruff mypy
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

.venv/installed: pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed: make PYTHON=python3.11"'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[test]"
	touch $@

clean:
	rm -rf .venv .pipeline
