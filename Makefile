# `make run` and `make test` need Python 3.11 or newer and nothing else; they set up .venv on first use.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
BIN := .venv/bin

.PHONY: run test lint clean

run: .venv/installed
	$(BIN)/python -m pipeline run --until export

test: .venv/installed
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile

lint: .venv/installed
	$(BIN)/pip install -q ruff
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

.venv/installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer found: make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[test]"
	touch $@

clean:
	rm -rf .venv .pipeline
